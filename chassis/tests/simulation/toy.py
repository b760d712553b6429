"""A toy service, right and wrong: it starts each requested job once and says when it is done.

The right one decides from its fold and appends under guards. Each wrong one has one planted bug
of the kind that the simulation exists to find.
"""

import itertools

from penstock_chassis.decider import Decider
from penstock_chassis.fold import Fold
from penstock_chassis.message import Draft, Recorded, to_message
from penstock_chassis.ports import Ports
from penstock_chassis.service import Service
from penstock_chassis.testing import SimLog, facts_once, no_duplicate_ids, wishes_answered
from penstock_schemas import (
    Event,
    JobPlaced,
    JobRequested,
    JobStarted,
    JobSucceeded,
)

JOBS = 3
State = dict[str, set[str]]


def requested(number: int) -> JobRequested:
    return JobRequested.model_validate(JobRequested.example | {"job": f"job-{number}"})


def evolve(state: State, item: Recorded) -> State:
    state.setdefault(item.event.id, set()).add(item.type)
    return state


def started(job: str) -> JobStarted:
    return JobStarted(job=job, attempt=1, node="laptop")


def succeeded(job: str) -> JobSucceeded:
    return JobSucceeded(job=job, attempt=1, seconds=1.0)


def start(state: State, message: Recorded) -> list[Event]:
    done = state.get(message.event.id, set())
    return [] if "job.started" in done else [started(message.event.id)]


def finish(state: State, message: Recorded) -> list[Event]:
    done = state.get(message.event.id, set())
    return [] if "job.succeeded" in done else [succeeded(message.event.id)]


def right(ports: Ports) -> Service:
    fold: Fold[State] = Fold(["job"], {}, evolve)
    decider = Decider("toy", ports.log, ports.clock, fold)

    async def on_job_requested(message: Recorded) -> None:
        await decider.handle(message, start)

    async def on_job_started(message: Recorded) -> None:
        await decider.handle(message, finish)

    return Service(
        "toy", {JobRequested: on_job_requested, JobStarted: on_job_started}, folds=[fold]
    )


def saves_before_it_appends(ports: Ports) -> Service:
    """A dual write: the state says that it is done before the log does."""
    fold: Fold[State] = Fold(["job"], {}, evolve)

    async def on_job_requested(message: Recorded) -> None:
        jobs = await ports.kv.bucket("jobs")
        if await jobs.get(message.event.id) is None:
            await jobs.put(message.event.id, b"succeeded")
            await _append(ports, message, succeeded(message.event.id), f"{message.id}:done")

    return Service("toy", {JobRequested: on_job_requested}, folds=[fold])


def makes_random_ids(ports: Ports) -> Service:
    """Every try gives the event another id, and no guard: nothing can tell it is the same."""
    fold: Fold[State] = Fold(["job"], {}, evolve)
    number = itertools.count()

    async def on_job_requested(message: Recorded) -> None:
        id = f"{message.id}:{ports.clock.now().timestamp()}:{next(number)}"
        await _append(ports, message, succeeded(message.event.id), id)

    return Service("toy", {JobRequested: on_job_requested}, folds=[fold])


def forgets_while_it_waits(ports: Ports) -> Service:
    """Acknowledges before the append is durable: the work goes on in a task of its own."""
    fold: Fold[State] = Fold(["job"], {}, evolve)
    decider = Decider("toy", ports.log, ports.clock, fold)
    inbox: list[Recorded] = []

    async def on_job_requested(message: Recorded) -> None:
        inbox.append(message)

    async def work() -> None:
        while True:
            await ports.log.head(fold.filters)
            if inbox:
                await decider.handle(inbox.pop(), finish)
            else:
                await _sleep()

    return Service(
        "toy", {JobRequested: on_job_requested}, folds=[fold], background=[work]
    )


def places_without_a_guard(ports: Ports) -> Service:
    """Deterministic ids, but nothing expected of the log: two deliveries at once both place,
    once the duplicate window has passed."""
    fold: Fold[State] = Fold(["job"], {}, evolve)

    async def on_job_requested(message: Recorded) -> None:
        placed = JobPlaced.model_validate(JobPlaced.example | {"job": message.event.id})
        await _append(ports, message, placed, f"{message.id}:placed")
        await _append(ports, message, succeeded(message.event.id), f"{message.id}:done")

    return Service("toy", {JobRequested: on_job_requested}, folds=[fold], lease_seconds=130.0)


def check(log: SimLog) -> None:
    no_duplicate_ids(log)
    facts_once(log, JobPlaced, JobStarted, field="attempt")
    wishes_answered(log, JobRequested, JobSucceeded)
    assert not log.dead_letters


async def _append(ports: Ports, message: Recorded, event: Event, id: str) -> None:
    draft = Draft(event, message.namespace)
    await ports.log.append(
        [
            to_message(
                draft, source="toy", cause=message.cause, id=id, now=ports.clock.now(), guard=None
            )
        ]
    )


async def _sleep() -> None:
    import asyncio

    await asyncio.sleep(0.1)
