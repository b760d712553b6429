"""The world around a trainer on the simulated bus: a scheduler, scripts, and what ends a job."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from penstock_chassis.decider import Decider
from penstock_chassis.fold import Fold
from penstock_chassis.message import Recorded
from penstock_chassis.service import Service
from penstock_chassis.testing import SimPorts, Until
from penstock_schemas import (
    Event,
    JobFailed,
    JobPlaced,
    JobRequested,
    JobStarted,
    Program,
    Resources,
)
from penstock_trainer.ports import AttemptId
from penstock_trainer.testing import FakeLauncher


def request(job: str, **details: object) -> JobRequested:
    values = {"job": job, "program": Program(command=("{python}", "x.py")), "max_attempts": 2}
    return JobRequested.model_validate(values | details)


def toy_scheduler(ports: SimPorts, node_of: Callable[[str], str] = lambda _: "n") -> Service:
    """Places every job, and every failed one again; by default on one node."""
    requested: dict[str, int] = {}

    def evolve(state: dict[str, int], recorded: Recorded) -> dict[str, int]:
        if isinstance(recorded.event, JobPlaced):
            state[recorded.event.job] = recorded.event.attempt
        return state

    desk = Decider("scheduler", ports.log, ports.clock, Fold({"job"}, requested, evolve))

    def place(attempt: int, job: str, state: dict[str, int]) -> list[Event]:
        if state.get(job, 0) >= attempt:
            return []
        node = node_of(job)
        return [
            JobPlaced(job=job, attempt=attempt, node=node, resources=Resources(), reason="free")
        ]

    async def on_requested(message: Recorded) -> None:
        rule = partial(place, 1, message.event.id)
        await desk.decide(message.cause, rule, after=message.sequence)

    async def on_failed(message: Recorded) -> None:
        assert isinstance(message.event, JobFailed)
        if not message.event.final:
            rule = partial(place, message.event.attempt + 1, message.event.id)
            await desk.decide(message.cause, rule, after=message.sequence)

    return Service(
        name="scheduler",
        folds=[desk.fold],
        handlers={JobRequested: on_requested, JobFailed: on_failed},
    )


async def scripts(launcher: FakeLauncher, played: set[AttemptId]) -> None:
    """Every script reports and ends within a second; those of `flaky` fail at first."""
    while True:
        await asyncio.sleep(0.3)
        for attempt in launcher.starts:
            if attempt in played or attempt.job == "endless":
                continue
            played.add(attempt)
            if launcher.attempt(attempt).seen.ended:
                continue
            launcher.report(attempt, {"auc": 0.5}, 1)
            launcher.write_log(attempt, b"working\n")
            bad = attempt.job == "flaky" and attempt.attempt == 1
            launcher.finish(attempt, exit_code=int(bad), result={"metrics": {"auc": 0.7}})


def ended(*jobs: str) -> Callable[[Sequence[Recorded]], bool]:
    def holds(log: Sequence[Recorded]) -> bool:
        return set(jobs) <= {item.event.id for item in log if is_end(item)}

    return holds


def is_end(item: Recorded) -> bool:
    final = isinstance(item.event, JobFailed) and item.event.final
    return final or item.type in ("job.succeeded", "job.cancelled")


def _is_start(item: Recorded) -> bool:
    return isinstance(item.event, JobStarted)


def started(job: str) -> Until:
    return Until(lambda log: any(_is_start(item) and item.event.id == job for item in log))
