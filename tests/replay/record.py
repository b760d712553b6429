"""Record a new history: `python tests/replay/record.py NAME` (about two minutes).

It runs the demo on real flights (public-domain data), then asks for what the demo does not: a node
registered in version 1 of its contract, a queue with a quota, jobs that are refused, fail and are
cancelled while they wait and while they run, an invalid wish and an unreadable fact. Then it writes
`histories/NAME.jsonl` and what every service knows after it, `snapshots/NAME/<service>.json`. A
history once committed is never recorded again.

`--snapshots` writes only the snapshots of all histories anew: after a change of what a service
keeps in memory, never to make a history readable.
"""

import argparse
import asyncio
import json
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import nats
from folded import SNAPSHOTS, folded
from history import HISTORIES, read_history, write_history
from nats.aio.client import Client

from penstock_chassis.adapters.nats.log import NatsLog
from penstock_chassis.adapters.nats.streams import EVENTS
from penstock_chassis.embedded import DataDir
from penstock_chassis.ports import StoredMessage

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "examples" / "flights" / "demo.py"
STEP_SECONDS = 60.0
NAMESPACE = "demo"
SLEEP = ["{python}", "-c", "import time; time.sleep(60)"]
FAIL = ["{python}", "-c", "raise SystemExit(3)"]
MACHINE = re.compile(r"/(?:tmp|home|root|opt|mnt|srv|usr|var|Users)/|\b[A-Z]:\\\\")
"""What a path of the recording machine looks like; none may be in a history."""


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("name", nargs="?", help="e.g. demo-2; a new one")
    parser.add_argument("--snapshots", action="store_true", help="only write snapshots anew")
    chosen = parser.parse_args()
    if chosen.snapshots:
        for path in sorted(HISTORIES.glob("*.jsonl")):
            _write_snapshots(path)
        return
    if not chosen.name or (HISTORIES / f"{chosen.name}.jsonl").exists():
        parser.error("name a new history: a recorded one is never changed")
    path = HISTORIES / f"{chosen.name}.jsonl"
    with tempfile.TemporaryDirectory(prefix="penstock-record-") as work:
        write_history(path, _without_machine(_record(Path(work)), Path(work)))
    _write_snapshots(path)
    sys.stdout.write(f"{path.name}: {len(read_history(path))} messages\n")


def _write_snapshots(path: Path) -> None:
    folder = SNAPSHOTS / path.stem
    folder.mkdir(parents=True, exist_ok=True)
    for service, text in folded(read_history(path)).items():
        (folder / f"{service}.json").write_text(text, encoding="utf-8")


def _record(work: Path) -> list[StoredMessage]:
    data = work / "data"
    penstock = Path(sys.executable).with_name("penstock")
    try:
        subprocess.run([sys.executable, DEMO, "--keep", "--work-dir", work], check=True)
        endpoints = DataDir(data).read_endpoints()
        assert endpoints is not None
        return asyncio.run(_ask_and_read(endpoints.nats_url))
    finally:
        subprocess.run([penstock, "down", "--data-dir", data], check=True)


async def _ask_and_read(url: str) -> list[StoredMessage]:
    async with _connected(url) as client:
        asker = _Asker(client, NatsLog(client, EVENTS))
        await _ask(asker)
        return await asker.log.read("penstock.>")


class _Asker:
    """A plain client of the bus: subjects and JSON, no envelope."""

    def __init__(self, client: Client, log: NatsLog) -> None:
        self.log = log
        self._client = client

    async def say(self, type: str, id: str, payload: Any, namespace: str = NAMESPACE) -> None:
        data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        await self._client.publish(f"penstock.{namespace}.{type}.{id}", data)

    async def job(self, id: str, command: Sequence[str], **more: Any) -> None:
        job = {"job": id, "program": {"command": command}, "queue": "research", **more}
        await self.say("job.requested", id, job)

    async def cancel(self, id: str) -> None:
        await self.say("job.cancel-requested", id, {"job": id, "reason": "recorded"})

    async def until(self, *endings: str) -> None:
        """Wait until subjects with all these endings are in the log."""
        missing = set(endings)
        async with asyncio.timeout(STEP_SECONDS):
            async for stored in self.log.follow(["penstock.>"]):
                missing -= {one for one in missing if stored.subject.endswith(f".{one}")}
                if not missing:
                    return


async def _ask(asker: _Asker) -> None:
    """What is asked for beside the demo."""
    node = {"node": "older", "cpus": 2, "gpus": 1, "labels": {"form": "version 1"}}
    await asker.say("node.registered", "older", node, "system")
    await asker.say("queue.requested", "research", {"queue": "research", "cpu_quota": 1})
    await asker.until("queue.configured.research")
    await asker.job("fails", FAIL, max_attempts=2)
    await asker.job("huge", SLEEP, resources={"gpu": 64})
    await asker.until("job.failed.fails", "job.rejected.huge")
    await asker.job("runs", SLEEP, max_attempts=1)
    await asker.until("job.started.runs")
    await asker.job("waits", SLEEP)
    await asker.until("job.queued.waits")
    await asker.cancel("waits")
    await asker.until("job.cancelled.waits")
    await asker.cancel("runs")
    await asker.until("job.cancelled.runs")
    await asker.say("job.succeeded", "unreadable", b"not JSON")
    await asker.say("experiment.requested", "nonsense", {"experiment": "nonsense"})
    await asker.until("experiment.rejected.nonsense")


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[Client]:
    client = await nats.connect(url)
    try:
        yield client
    finally:
        await client.close()


def _without_machine(messages: Sequence[StoredMessage], work: Path) -> list[StoredMessage]:
    """The messages without what names the machine; raises `SystemExit` where more is found."""
    hidden: Mapping[str, str] = {
        str(work): "<work>",
        sys.prefix: "<python>",
        str(ROOT): "<checkout>",
        str(Path.home()): "<home>",
        socket.gethostname(): "<host>",
    }
    cleaned = []
    for message in messages:
        payload, headers = message.payload, dict(message.headers)
        for found, instead in hidden.items():
            whole = re.compile(rf"(?<![\w.-]){re.escape(found)}(?![\w-])")
            payload = whole.sub(instead, payload.decode(errors="surrogateescape")).encode(
                errors="surrogateescape"
            )
            headers = {name: whole.sub(instead, value) for name, value in headers.items()}
        text = payload.decode(errors="replace") + json.dumps(headers)
        if left := MACHINE.search(text):
            raise SystemExit(f"{message.subject} names this machine: {text[left.start() :][:80]}")
        cleaned.append(
            StoredMessage(message.subject, payload, headers, message.sequence, message.time)
        )
    return cleaned


if __name__ == "__main__":
    main()
