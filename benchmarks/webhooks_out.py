"""Webhooks out: how fast events are delivered, and what arrives at a receiver that was down.

The receiver is a process of its own that answers 204 and notes when. The bound is the same bodies
posted to it by httpx, as many at a time, signed, without any platform in between; both run in
turns, three times, in the same run. Then the receiver is away while ten events happen, and all of
them must arrive; `webhooks_mlflow` asks the same of MLflow.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx
from benchmarks.platform import stop
from benchmarks.report import finish
from standardwebhooks import Webhook

import penstock
from penstock.client.sync import Client
from penstock_chassis.embedded import DataDir
from penstock_gateway.supervisor.courier import CONCURRENCY
from penstock_schemas import QueueRequested

SECRET = "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ="
DELIVERIES = 1000
ROUNDS = 3
MISSED = 10
WAIT_SECONDS = 300.0
POLL_SECONDS = 0.02
RATIO_MIN = 0.3

RECEIVER = """
import asyncio, json, sys, time
port, notes = int(sys.argv[1]), open(sys.argv[2], "a", buffering=1)
async def serve(reader, writer):
    try:
        while True:
            head = (await reader.readuntil(b"\\r\\n\\r\\n")).lower()
            length = int(head.split(b"content-length:")[1].split(b"\\r\\n")[0])
            body = json.loads(await reader.readexactly(length))
            notes.write(f"{body['type']} {body['id']} {time.time()}\\\\n")
            writer.write(b"HTTP/1.1 204 No Content\\r\\n\\r\\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", port)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
""".replace("\\\\n", "\\n")


class Receiver:
    """The receiver's process; comes back on the same port."""

    def __init__(self, notes: Path) -> None:
        self.notes = notes
        self.port = 0
        self._process: subprocess.Popen[str] | None = None

    def up(self) -> None:
        """Start it and wait until it listens."""
        self._process = subprocess.Popen(
            [sys.executable, "-c", RECEIVER, str(self.port), self.notes],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def down(self) -> None:
        """Kill it."""
        assert self._process is not None
        assert self._process.stdout is not None
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()

    def taken(self) -> list[tuple[str, str, float]]:
        """Type, id and time of what it took, in order."""
        lines = self.notes.read_text().splitlines() if self.notes.exists() else []
        return [(kind, id, float(at)) for kind, id, at in map(str.split, lines)]

    def wait(self, count: int) -> list[tuple[str, str, float]]:
        """What it took, once that is so much."""
        deadline = time.monotonic() + WAIT_SECONDS
        while len(taken := self.taken()) < count:
            assert time.monotonic() < deadline, f"{len(taken)} of {count} after {WAIT_SECONDS} s"
            time.sleep(POLL_SECONDS)
        return taken


def rate_of(taken: list[tuple[str, str, float]]) -> float:
    """Deliveries a second between the first and the last."""
    return (len(taken) - 1) / (taken[-1][2] - taken[0][2])


async def post_all(url: str, bodies: list[str]) -> None:
    """The bodies by httpx, as many at a time as a courier has."""
    queue = list(enumerate(bodies))

    async def work(client: httpx.AsyncClient) -> None:
        while queue:
            number, body = queue.pop()
            now = datetime.now(UTC)
            headers = {
                "webhook-id": f"msg_{number}",
                "webhook-timestamp": str(int(now.timestamp())),
                "webhook-signature": Webhook(SECRET).sign(f"msg_{number}", now, body),
            }
            (await client.post(url, content=body, headers=headers)).raise_for_status()

    async with httpx.AsyncClient() as client:
        await asyncio.gather(*(work(client) for _ in range(CONCURRENCY)))


def ours(client: Client, receiver: Receiver, name: str) -> float:
    """Deliveries a second of events that wait in the log."""
    url = f"http://127.0.0.1:{receiver.port}/"
    subscribe(client, name, url, paused=True)
    for number in range(DELIVERIES):
        client.publish(QueueRequested(queue=f"{name}-{number}"))
    before = len(receiver.taken())
    subscribe(client, name, url)
    taken = receiver.wait(before + DELIVERIES)[before:]
    client.subscription.remove(name)
    return rate_of(taken)


def subscribe(client: Client, name: str, url: str, *, paused: bool = False) -> None:
    """Set up, and wait until it is."""
    wish = client.subscription.add(name, url, ["queue.requested"], secret="bench", paused=paused)
    assert client.subscription.wait(wish.id, after=wish.sequence).ok


def theirs(receiver: Receiver) -> float:
    """Posts a second of httpx alone."""
    data = {"queue": "q", "cpu_quota": 1.0, "gpu_quota": 0}
    body = json.dumps({"type": "peer", "id": "x", "timestamp": "x", "data": data, "pad": "x" * 300})
    before = len(receiver.taken())
    asyncio.run(post_all(f"http://127.0.0.1:{receiver.port}/", [body] * DELIVERIES))
    return rate_of(receiver.wait(before + DELIVERIES)[before:])


def missed(client: Client, receiver: Receiver, seconds: float) -> tuple[int, float]:
    """How many of the events of a receiver's absence arrive, and how long after it is back."""
    subscribe(client, "missed", f"http://127.0.0.1:{receiver.port}/")
    receiver.down()
    ids = {client.publish(QueueRequested(queue=f"missed-{n}")).id for n in range(MISSED)}
    time.sleep(seconds)
    receiver.up()
    back, deadline = time.time(), time.monotonic() + 2 * seconds + 60
    while time.monotonic() < deadline:
        at = {id: when for _, id, when in receiver.taken() if id in ids}
        if len(at) == MISSED:
            break
        time.sleep(POLL_SECONDS)
    return len(at), max(at.values(), default=back) - back


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--down-seconds", type=float, default=60.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
        receiver = Receiver(Path(folder) / "notes")
        receiver.up()
        directory = Path(folder) / "data"
        process = subprocess.Popen(
            [Path(sys.executable).with_name("penstock"), "up", "--data-dir", directory, "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | {"PENSTOCK_GATEWAY_SUBSCRIPTION_NETWORKS": '["127.0.0.0/8"]'},
        )
        assert process.stdout is not None
        json.loads(process.stdout.readline())
        endpoints = DataDir(directory).read_endpoints()
        assert endpoints is not None
        try:
            with penstock.connect(endpoints.gateway_url, "bench") as client:
                client.secret.set("bench", SECRET)
                rates, bounds = [], []
                for number in range(ROUNDS):
                    print(f"round {number + 1} of {ROUNDS} …", file=sys.stderr)
                    rates.append(ours(client, receiver, f"round-{number}"))
                    bounds.append(theirs(receiver))
                print(f"receiver away for {options.down_seconds:g} s …", file=sys.stderr)
                arrived, late = missed(client, receiver, options.down_seconds)
        finally:
            stop(process)
            receiver.down()
    finish(
        "webhooks_out",
        {
            "deliveries per second": max(rates),
            "httpx posts per second": max(bounds),
            "seconds until the missed ones arrived": late,
        },
        {"rate_to_httpx": max(rates) / max(bounds), "missed_arrived": arrived / MISSED},
        {"rate_to_httpx": f">={RATIO_MIN}", "missed_arrived": ">=1"},
    )


if __name__ == "__main__":
    main()
