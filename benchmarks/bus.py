"""The cost of the bus: our whole handler path against raw nats-py, in one run.

Rate: decode, decide, append synced with an expected sequence, acknowledge, 64 at a time. The peer
is nats-py as it comes, with its fastest consumer (push): it parses the payload, appends the same
message (payload, the 13 headers of the contract, guard), reads the answer and acknowledges; it
validates nothing, keeps no state, counts and logs nothing. Ours runs as a service does: FastStream,
validation, fold, metrics, one JSON line an event (into a file). Latency: from before the publish to
inside the handler, one at a time. Fold: 100,000 events read back on start-up. Rounds alternate, the
best of each counts: the machines are noisy.
"""

import asyncio
import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import nats
from benchmarks.report import finish
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig

from penstock_chassis.adapters.nats.connection import connect_client
from penstock_chassis.adapters.nats.front import declare, make_broker
from penstock_chassis.adapters.nats.log import EXPECTED, EXPECTED_SUBJECT, ID_HEADER
from penstock_chassis.adapters.nats.ports import ports_on
from penstock_chassis.adapters.nats.streams import EVENTS, ensure_streams
from penstock_chassis.decider import Decider
from penstock_chassis.embedded import DataDir, EmbeddedNats
from penstock_chassis.fold import Fold
from penstock_chassis.logs import configure_logs
from penstock_chassis.message import Draft, Recorded, to_message
from penstock_chassis.process import run_loop
from penstock_chassis.service import Service, ServiceRunner
from penstock_chassis.settings import PlatformSettings
from penstock_schemas import JobQueued, JobRequested, Program, new_id

MESSAGES = 2_000
WINDOW = 64
LATENCIES = 300
ROUNDS = 5
FOLDED = 100_000
PUBLISH_WINDOW = 500
LATENCY_MS_MAX = 5.0
FOLD_SECONDS_MAX = 5.0

Queued = set[tuple[str, str]]


def evolve(state: Queued, recorded: Recorded) -> Queued:
    """Remember which jobs were queued."""
    if isinstance(recorded.event, JobQueued):
        state.add((recorded.namespace, recorded.event.job))
    return state


def queue(state: Queued, message: Recorded) -> list[JobQueued]:
    """Queue a job once."""
    if (message.namespace, message.event.id) in state:
        return []
    return [JobQueued(job=message.event.id, queue="default", attempt=1, reason="first come")]


@dataclass
class Ours:
    """Our service on the real bus."""

    client: Client
    fold: Fold[Queued]
    arrivals: asyncio.Queue[float]
    started: float
    """When it began to consume: connected, as the peer is, and nothing folded yet."""


@contextlib.asynccontextmanager
async def our_service(url: str, *, decide: bool) -> AsyncIterator[Ours]:
    """A service whose handler decides and appends, or only notes when it was called."""
    settings = PlatformSettings(nats_url=url)
    broker = make_broker(url, "bench")
    client = await broker.connect()
    await ensure_streams(client, settings)
    ports = ports_on(client, settings, None)  # type: ignore[arg-type]
    fold: Fold[Queued] = Fold({"job"}, set(), evolve)
    desk = Decider("bench", ports.log, ports.clock, fold)
    arrivals: asyncio.Queue[float] = asyncio.Queue()

    async def on_job_requested(message: Recorded) -> None:
        if decide:
            await desk.handle(message, queue)
        else:
            arrivals.put_nowait(time.perf_counter())

    service = Service(
        name="bench", handlers={JobRequested: on_job_requested}, folds=[fold], concurrency=WINDOW
    )
    runner = ServiceRunner(service, ports)
    runner.through(declare(broker, service.name, service.handlers, runner.dispatcher))
    await broker.start()
    started = time.perf_counter()
    task = asyncio.create_task(runner.run())
    await runner.ready.wait()
    try:
        yield Ours(client, fold, arrivals, started)
    finally:
        await runner.drain()
        await task
        await broker.stop()


def request(number: int) -> tuple[str, bytes, dict[str, str]]:
    """A job request as an app would publish it."""
    event = JobRequested(job=f"job-{number}", program=Program(command=("python", "train.py")))
    message = to_message(
        Draft(event, "bench"), source="bench", cause=None, id=new_id(), now=_now(), guard=None
    )
    return message.subject, message.payload, dict(message.headers)


def _now() -> datetime:
    return datetime.now(UTC)


async def fill(client: Client, count: int) -> None:
    """Publish `count` job requests, many at a time, awaited."""
    slots = asyncio.Semaphore(PUBLISH_WINDOW)

    async def one(number: int) -> None:
        async with slots:
            subject, payload, headers = request(number)
            await client.request(subject, payload, headers=headers, timeout=60)

    await asyncio.gather(*(one(number) for number in range(count)))


async def fresh(run: Callable[[str], Awaitable[float]]) -> float:
    """Run on a server with an empty log."""
    with DataDir.ephemeral() as directory:
        async with EmbeddedNats(directory) as server:
            return await run(server.url)


async def our_rate(url: str) -> float:
    """Messages a second through FastStream, fold, decider and synced append."""
    feeder = await connect_client(url, "feeder")
    await ensure_streams(feeder, PlatformSettings(nats_url=url))
    await fill(feeder, MESSAGES)
    async with our_service(url, decide=True) as ours:
        while len(ours.fold.state) < MESSAGES:
            await ours.fold.reach(ours.fold.position + 1)
        seconds = time.perf_counter() - ours.started
    await feeder.close()
    return MESSAGES / seconds


async def raw_rate(url: str) -> float:
    """Messages a second with nats-py alone: the same appends, headers and acknowledgements."""
    feeder = await connect_client(url, "feeder")
    await ensure_streams(feeder, PlatformSettings(nats_url=url))
    await fill(feeder, MESSAGES)
    client = await nats.connect(url)
    jetstream = client.jetstream()
    slots, handled, done = asyncio.Semaphore(WINDOW), 0, asyncio.get_running_loop().create_future()
    tasks: set[asyncio.Task[None]] = set()

    async def handle(message: Msg) -> None:
        nonlocal handled
        try:
            job = json.loads(message.data)["job"]
            body = {"job": job, "queue": "default", "attempt": 1, "reason": "first come"}
            answer = await client.request(
                f"penstock.bench.job.queued.{job}",
                json.dumps(body).encode(),
                headers=raw_headers(message, job),
                timeout=30,
            )
            assert "error" not in json.loads(answer.data), answer.data
            await message.ack()
        except Exception as error:
            done.set_exception(error)
            raise
        finally:
            slots.release()
        handled += 1
        if handled == MESSAGES:
            done.set_result(None)

    async def on_message(message: Msg) -> None:
        await slots.acquire()
        task = asyncio.create_task(handle(message))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    started = time.perf_counter()
    await jetstream.subscribe(
        "penstock.*.job.requested.>",
        stream=EVENTS,
        durable="raw",
        cb=on_message,
        manual_ack=True,
        config=ConsumerConfig(ack_policy=AckPolicy.EXPLICIT, max_ack_pending=4 * WINDOW),
    )
    await done
    seconds = time.perf_counter() - started
    await client.close()
    await feeder.close()
    return MESSAGES / seconds


def raw_headers(message: Msg, job: str) -> dict[str, str]:
    """What our own append carries, written down by hand."""
    cause = message.headers or {}
    id = new_id()
    return {
        "ce-specversion": "1.0",
        "ce-id": id,
        "ce-source": "penstock/bench",
        "ce-type": "job.queued",
        "ce-subject": job,
        "ce-time": _now().isoformat(),
        "ce-dataschema": "urn:penstock:schema:job.queued:1",
        "ce-correlationid": cause["ce-correlationid"],
        "content-type": "application/json",
        "ce-causationid": cause["ce-id"],
        ID_HEADER: id,
        EXPECTED: str(message.metadata.sequence.stream),
        EXPECTED_SUBJECT: f"penstock.bench.job.*.{job}",
    }


async def our_latency(url: str) -> float:
    """Median milliseconds from before a synced publish to inside our handler."""
    async with our_service(url, decide=False) as ours:
        return await _latencies(ours.client, ours.arrivals)


async def raw_latency(url: str) -> float:
    """The same with a raw publish and a raw callback."""
    client = await nats.connect(url)
    await ensure_streams(client, PlatformSettings(nats_url=url))
    arrivals: asyncio.Queue[float] = asyncio.Queue()

    async def on_message(message: Msg) -> None:
        arrivals.put_nowait(time.perf_counter())
        await message.ack()

    await client.jetstream().subscribe(
        "penstock.*.job.requested.>", stream=EVENTS, cb=on_message, manual_ack=True
    )
    median = await _latencies(client, arrivals)
    await client.close()
    return median


async def _latencies(client: Client, arrivals: asyncio.Queue[float]) -> float:
    measured = []
    for number in range(LATENCIES):
        subject, payload, headers = request(number)
        started = time.perf_counter()
        await client.request(subject, payload, headers=headers, timeout=30)
        measured.append((await arrivals.get() - started) * 1000)
    return statistics.median(measured)


async def fold_seconds(url: str) -> float:
    """Seconds to fold `FOLDED` stored events into memory."""
    client = await connect_client(url, "fold")
    settings = PlatformSettings(nats_url=url)
    await ensure_streams(client, settings)
    for first in range(0, FOLDED, 1000):
        await _batch(client, first)
    ports = ports_on(client, settings, None)  # type: ignore[arg-type]
    fold: Fold[Queued] = Fold({"job"}, set(), evolve)
    started = time.perf_counter()
    task = asyncio.create_task(fold.follow(ports.log))
    await fold.reach(FOLDED)
    seconds = time.perf_counter() - started
    task.cancel()
    await client.close()
    return seconds


async def _batch(client: Client, first: int) -> None:
    """A thousand events as one atomic batch: the quickest way to fill a synced log."""
    batch = new_id()
    for offset in range(1000):
        subject, payload, headers = request(first + offset)
        headers |= {"Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(offset + 1)}
        if offset == 999:
            headers["Nats-Batch-Commit"] = "1"
            await client.request(subject, payload, headers=headers, timeout=30)
        else:
            await client.publish(subject, payload, headers=headers)


async def main() -> None:
    """Measure, alternating, and report."""
    ours, raw, our_ms, raw_ms = [], [], [], []
    for number in range(ROUNDS):
        print(f"round {number + 1} of {ROUNDS} …", file=sys.stderr)
        raw.append(await fresh(raw_rate))
        ours.append(await fresh(our_rate))
        raw_ms.append(await fresh(raw_latency))
        our_ms.append(await fresh(our_latency))
    print(f"folding {FOLDED:,} events …", file=sys.stderr)
    folding = await fresh(fold_seconds)
    finish(
        "bus",
        {
            "handled a second, ours": max(ours),
            "handled a second, raw nats-py": max(raw),
            "publish to handler, p50 ms, ours": min(our_ms),
            "publish to callback, p50 ms, raw": min(raw_ms),
            f"seconds to fold {FOLDED:,} events": folding,
        },
        {
            "rate_to_raw": max(ours) / max(raw),
            "latency_to_raw": min(our_ms) / min(raw_ms),
            "latency_to_5_ms": min(our_ms) / LATENCY_MS_MAX,
            "fold_to_5_s": folding / FOLD_SECONDS_MAX,
        },
        {
            "rate_to_raw": ">=0.5",
            "latency_to_raw": "<=3",
            "latency_to_5_ms": "<=1",
            "fold_to_5_s": "<=1",
        },
    )


if __name__ == "__main__":
    with tempfile.TemporaryFile("w") as lines:
        with contextlib.redirect_stderr(lines):
            configure_logs("info", json=True)
        run_loop(main())
