"""A backtest over a recorded log of a million events, in a real nats-server.

The log is written through the log port in atomic appends of 1,000 synced messages: one event in
`SHARE` is of the type that the trigger waits for, the others are jobs. Measured is the backtest as
the API runs it, in this process beside the server on the same machine: the server leaves out what
the trigger does not wait for, what is left is read, decoded, judged by its CEL condition, held
back, and made into what it would ask for. Three triggers: one that fires for one event in ten; one
whose condition asks for the row, so that all events of the noun are read; and one that waits for
every type there is, so that nothing is left out: the price of an event.
"""

import asyncio
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from benchmarks.report import finish

from penstock_chassis.adapters.nats.connection import connect_client
from penstock_chassis.adapters.nats.log import NatsLog
from penstock_chassis.adapters.nats.streams import EVENTS as STREAM
from penstock_chassis.adapters.nats.streams import ensure_streams
from penstock_chassis.embedded import DataDir, EmbeddedNats
from penstock_chassis.message import Draft, to_message
from penstock_chassis.ports import Message
from penstock_chassis.process import run_loop
from penstock_chassis.settings import PlatformSettings
from penstock_gateway.adapters.cel import compile_cel
from penstock_gateway.handlers.backtest import Backtest, Stretch
from penstock_gateway.nouns import VIEWS
from penstock_schemas import Action, JobQueued, TriggerRequested, WebhookReceived, derived_id

EVENTS = 1_000_000
SHARE = 20
APPEND = 1_000
APPENDS_AT_A_TIME = 2
PROGRESS = 100_000
NAMESPACE = "bench"
BACKTEST_SECONDS_MAX = 60.0


def messages(begin: int, end: int) -> Iterator[Message]:
    """Events `begin` to `end` of the log."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    for number in range(begin, end):
        if number % SHARE == 0:
            data = {"rows": number // SHARE, "tags": ["a", "b"], "late": 0.5}
            event: WebhookReceived | JobQueued = WebhookReceived(
                webhook=f"w-{number}", source="airline", delivery=str(number), data=data
            )
        else:
            event = JobQueued(job=f"j-{number // 8}", queue="q", attempt=1, reason="first come")
        id = derived_id("bench", "event", number)
        draft = Draft(event, NAMESPACE)
        yield to_message(draft, source="bench", cause=None, id=id, now=now)


async def fill(log: NatsLog) -> float:
    """Write the log; seconds."""
    begun = time.perf_counter()
    slots = asyncio.Semaphore(APPENDS_AT_A_TIME)

    async def one(begin: int) -> None:
        async with slots:
            await log.append(list(messages(begin, begin + APPEND)))
        if begin % PROGRESS == 0:
            print(f"{begin:,} events at {time.perf_counter() - begun:.0f} s", file=sys.stderr)

    await asyncio.gather(*(one(begin) for begin in range(0, EVENTS, APPEND)))
    return time.perf_counter() - begun


def trigger(**changes: object) -> TriggerRequested:
    """A trigger that asks for a job."""
    program = {"command": ["{python}", "train.py"]}
    do = Action(
        type="job.requested",
        data={"job": "retrain-${number}", "program": program, "params": {"of": "${meta.id}"}},
    )
    return TriggerRequested.model_validate({"trigger": "retrain", "do": do, **changes})


async def measure(log: NatsLog, declared: TriggerRequested) -> tuple[float, float, int, int]:
    """Seconds, those of this process on a core, events judged, firings found."""
    begun, used = time.perf_counter(), time.process_time()
    test = Backtest(log, VIEWS, compile_cel, NAMESPACE, declared)
    found = await test.run(Stretch(None, datetime.now(UTC) + timedelta(seconds=1)))
    seconds, cpu_seconds = time.perf_counter() - begun, time.process_time() - used
    print(f"{declared.when}: {seconds:.1f} s, {cpu_seconds:.1f} s on a core", file=sys.stderr)
    return seconds, cpu_seconds, found["events"], found["would_fire"]


async def main() -> None:
    """Fill, measure, report."""
    with DataDir.ephemeral() as directory:
        async with EmbeddedNats(directory) as server:
            client = await connect_client(server.url, "bench")
            await ensure_streams(client, PlatformSettings(nats_url=server.url))
            log = NatsLog(client, STREAM)
            filled = await fill(log)
            usual = trigger(on="webhook.received", when="event.data.rows % 10 == 0")
            seconds, _, judged, fired = await measure(log, usual)
            assert judged == EVENTS // SHARE
            assert fired == EVENTS // SHARE // 10
            by_row = trigger(
                on="webhook.received", when="row.source == 'airline'", at_most_every_seconds=1
            )
            row_seconds, _, _, row_fired = await measure(log, by_row)
            assert row_fired > 0
            every_seconds, every_cpu_seconds, every_judged, _ = await measure(
                log, trigger(on="*.*", when="meta.sequence % 1000 == 0")
            )
            assert every_judged == EVENTS
            await client.close()
    finish(
        "backtest",
        {
            "events in the log": float(EVENTS),
            "events a second written": EVENTS / filled,
            "events judged": float(judged),
            "firings": float(fired),
            "seconds": seconds,
            "seconds, each judged by its row": row_seconds,
            "seconds, every event judged": every_seconds,
            "seconds on a core, every event judged": every_cpu_seconds,
            "microseconds an event judged": every_seconds / EVENTS * 1e6,
        },
        {"seconds of a backtest": seconds, "seconds where every event is judged": every_seconds},
        {
            "seconds of a backtest": f"<={BACKTEST_SECONDS_MAX:.0f}",
            "seconds where every event is judged": f"<={BACKTEST_SECONDS_MAX:.0f}",
        },
    )


if __name__ == "__main__":
    run_loop(main())
