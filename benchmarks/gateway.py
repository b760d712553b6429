"""Webhooks in: what the log costs them, and how long it takes until somebody acts.

Rate: signed deliveries a second, each a new event synced to disk, through a whole platform (its
read model and triggers follow along); against the same server that verifies and answers without a
log, and against raw nats-py publishing the same bytes to the same nats-server, as many in flight.
Latency: from before a delivery is sent until what its trigger appended is stored; and until the
first line of a job's own Python, at an easy pace. Rounds alternate, the best of each counts.
"""

import asyncio
import contextlib
import dataclasses
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import nats
from benchmarks.report import finish
from standardwebhooks import Webhook

import penstock
from penstock_chassis.clock import SystemClock
from penstock_chassis.logs import configure_logs
from penstock_chassis.ports import Appended, Message
from penstock_chassis.testing import SimWorld
from penstock_gateway.adapters.http_server import UvicornServer
from penstock_gateway.adapters.memory_rows import MemoryRows
from penstock_gateway.app import make_context
from penstock_gateway.http.application import make_application
from penstock_gateway.settings import GatewaySettings
from penstock_schemas import Action, SourceConfigured, TriggerRequested

NAMESPACE, SOURCE = "bench", "load"
SECRET = "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ="
DELIVERIES = 2_000
IN_FLIGHT = 64
ROUNDS = 3
ACTS = 300
JOBS = 20
WAIT_SECONDS = 120.0
POLL_SECONDS = 0.1
PACE_SECONDS = 0.02
RAW_TO_OURS_MIN = 0.3
FIRST_LINE_MS_MAX = 500.0
BODY = json.dumps({"type": "months.arrived", "months": [4, 5, 6], "note": "x" * 200})
WITHOUT_LOG = "without-log"
PATH = f"/v1/webhooks/{NAMESPACE}/{SOURCE}"
CODE = "import time; print(time.time_ns(), flush=True)"


def headers_of(id: str, body: str = BODY) -> dict[str, str]:
    """The headers of a delivery."""
    now = datetime.now(UTC)
    return {
        "content-type": "application/json",
        "webhook-id": id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(SECRET).sign(id, now, body),
    }


def request(host: str, id: str) -> bytes:
    """A delivery as it goes over the wire: the load must cost less than what it measures."""
    head = {"host": host, "content-length": str(len(BODY)), **headers_of(id)}
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    return f"POST {PATH} HTTP/1.1\r\n{lines}\r\n{BODY}".encode()


async def rate(url: str, name: str) -> float:
    """Deliveries a second that are answered 202."""
    host = urlsplit(url)
    assert host.hostname
    assert host.port
    waiting = [request(host.netloc, f"{name}-{number}") for number in range(DELIVERIES)]

    async def send_all() -> None:
        reader, writer = await asyncio.open_connection(host.hostname, host.port)
        while waiting:
            writer.write(waiting.pop())
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 202"), head
            length = head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]
            await reader.readexactly(int(length))
        writer.close()

    started = time.perf_counter()
    await asyncio.gather(*(send_all() for _ in range(IN_FLIGHT)))
    return DELIVERIES / (time.perf_counter() - started)


async def raw_rate(url: str, name: str) -> float:
    """Publishes a second of the same bytes by nats-py alone, each awaited."""
    client = await nats.connect(url)
    jetstream = client.jetstream()
    await jetstream.add_stream(name=f"RAW-{name}", subjects=[f"raw.{name}.*"])
    waiting = list(range(DELIVERIES))

    async def send_all() -> None:
        while waiting:
            await jetstream.publish(f"raw.{name}.{waiting.pop()}", BODY.encode(), timeout=30)

    started = time.perf_counter()
    await asyncio.gather(*(send_all() for _ in range(IN_FLIGHT)))
    seconds = time.perf_counter() - started
    await jetstream.delete_stream(f"RAW-{name}")
    await client.close()
    return DELIVERIES / seconds


async def best(
    *runs: Callable[[str], Awaitable[float]],
) -> list[float]:
    """The best of several rounds of each, alternating."""
    found: list[list[float]] = [[] for _ in runs]
    for number in range(ROUNDS):
        for run, results in zip(runs, found, strict=True):
            results.append(await run(str(number)))
            print(f"round {number + 1}: {results[-1]:,.0f}/s", file=sys.stderr)
    return [max(results) for results in found]


async def acting_ms(url: str) -> list[float]:
    """From before a delivery is sent until what its trigger appended is stored, milliseconds."""
    sent: dict[str, float] = {}
    async with httpx.AsyncClient(base_url=url) as client:

        async def send(number: int) -> None:
            id, body = f"act-{number}", json.dumps({"queue": f"q-{number}"})
            sent[f"q-{number}"] = time.time()
            answer = await client.post(PATH, content=body, headers=headers_of(id, body))
            assert answer.status_code == 202, answer.text

        async def acted(count: int) -> list[dict[str, Any]]:
            params: dict[str, Any] = {"type": "queue.requested", "limit": 1000}
            async with asyncio.timeout(WAIT_SECONDS):
                while True:
                    answer = await client.get(f"/v1/{NAMESPACE}/event", params=params)
                    items: list[dict[str, Any]] = answer.json()["items"]
                    if len(items) >= count:
                        return items
                    await asyncio.sleep(POLL_SECONDS)

        await send(0)
        await acted(1)  # what the load before this left to do is done
        for number in range(1, ACTS + 1):
            await send(number)
            await asyncio.sleep(PACE_SECONDS)
        items = await acted(ACTS + 1)
    return [
        (datetime.fromisoformat(item["time"]).timestamp() - sent[item["subject_id"]]) * 1e3
        for item in items[1:]
    ]


def first_line_ms(url: str) -> list[float]:
    """From before a delivery is sent until the first line of the job's Python, milliseconds."""
    found = []
    with penstock.connect(url, NAMESPACE) as client, httpx.Client(base_url=url) as sender:
        for number in range(JOBS):
            id, body = f"job-{number}", json.dumps({"job": f"j-{number}"})
            sent_ns = time.time_ns()
            answer = sender.post(PATH, content=body, headers=headers_of(id, body))
            ended = client.job.wait(
                f"j-{number}",
                after=answer.json()["sequence"],
                timeout_seconds=WAIT_SECONDS,
            )
            assert ended.ok, ended
            found.append((int(client.job.logs(f"j-{number}").split()[0]) - sent_ns) / 1e6)
    return found


def declare(url: str) -> None:
    """The source, and two triggers: one asks for a queue, one for a job."""
    program = {"command": ["{python}", "-c", CODE]}
    wishes = {
        "queue": ("queue.requested", {"queue": "${event.data.queue}"}),
        "job": ("job.requested", {"job": "${event.data.job}", "program": program}),
    }
    with penstock.connect(url, NAMESPACE) as client:
        client.secret.set(SOURCE, SECRET)
        wish = client.source.declare(SOURCE, "standard")
        assert client.source.wait(wish.id, after=wish.sequence).ok
        for name, (type, data) in wishes.items():
            when = f"has(event.data.{name})"
            action = Action(type=type, data=data)
            client.publish(
                TriggerRequested(trigger=name, on="webhook.received", when=when, do=action)
            )


class NoLog:
    """Answers an append at once."""

    async def append(self, messages: Sequence[Message]) -> Appended:
        """See `EventLog.append`; nothing is kept."""
        return Appended(len(messages))


class NoSecrets:
    """The one secret."""

    async def get(self, namespace: str, name: str) -> tuple[str, ...]:
        """See `Secrets.get`."""
        return (SECRET,)


async def serve_without_log() -> None:
    """The gateway's own application and server, on a log that keeps nothing; prints its port."""
    configure_logs("error", None)
    simulated = SimWorld().ports("gateway")
    ports = dataclasses.replace(simulated, log=NoLog(), clock=SystemClock())  # type: ignore[arg-type]
    context = make_context(GatewaySettings(), ports, MemoryRows())
    book = context.sources.state
    configured = {**SourceConfigured.example, "source": SOURCE, "secrets": [SOURCE]}
    book.sources[NAMESPACE, SOURCE] = SourceConfigured.model_validate(configured)
    book.secrets[NAMESPACE, SOURCE] = 1
    context.keyring._secrets = NoSecrets()  # type: ignore[assignment]
    server = UvicornServer("127.0.0.1", 0)
    serving = asyncio.create_task(server.serve(make_application(context), lambda: None))
    while server.port == 0:  # noqa: ASYNC110 - it tells nobody when it listens
        await asyncio.sleep(0.01)
    print(json.dumps({"gateway_url": f"http://127.0.0.1:{server.port}"}), flush=True)
    await serving


@contextlib.contextmanager
def running(*words: str | Path) -> Iterator[dict[str, str]]:
    """A process that prints where it listens, as JSON."""
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(WAIT_SECONDS)
        process.stdout.close()


@contextlib.asynccontextmanager
async def servers() -> AsyncIterator[tuple[dict[str, str], dict[str, str]]]:
    """A whole platform, and the same HTTP server without a log."""
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
        command = Path(sys.executable).with_name("penstock")
        bare = (sys.executable, "-m", "benchmarks.gateway", WITHOUT_LOG)
        with (
            running(command, "up", "--data-dir", Path(folder) / "data", "--json") as platform,
            running(*bare) as without,
        ):
            yield platform, without


async def measure() -> None:
    """Measure and report."""
    async with servers() as (platform, without):
        url = platform["gateway_url"]
        await asyncio.to_thread(declare, url)
        ours, bare, raw = await best(
            lambda name: rate(url, name),
            lambda name: rate(without["gateway_url"], name),
            lambda name: raw_rate(platform["nats_url"], name),
        )
        acting = sorted(await acting_ms(url))
        lines = sorted(await asyncio.to_thread(first_line_ms, url))
    finish(
        "gateway",
        {
            "webhooks accepted a second": ours,
            "the same server without the log, a second": bare,
            "raw synced publishes a second": raw,
            "delivery to the event of the trigger, p50 ms": statistics.median(acting),
            "delivery to the event of the trigger, p99 ms": acting[int(len(acting) * 0.99)],
            "delivery to the first line of training code, p50 ms": statistics.median(lines),
            "delivery to the first line of training code, max ms": lines[-1],
        },
        {
            "rate_to_raw": ours / raw,
            "rate_to_server_without_log": ours / bare,
            "first_line_p50_to_500_ms": statistics.median(lines) / FIRST_LINE_MS_MAX,
        },
        {"rate_to_raw": f">={RAW_TO_OURS_MIN}", "first_line_p50_to_500_ms": "<=1"},
    )


if __name__ == "__main__":
    asyncio.run(serve_without_log() if sys.argv[1:] == [WITHOUT_LOG] else measure())
