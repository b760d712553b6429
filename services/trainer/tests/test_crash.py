"""The trainer on the simulated bus: crashes at every port call, faults of the bus."""

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from penstock_chassis.decider import Decider
from penstock_chassis.fold import Fold
from penstock_chassis.message import Recorded
from penstock_chassis.service import Service
from penstock_chassis.testing import (
    Build,
    Pause,
    Scenario,
    SimLog,
    SimPorts,
    SimWorld,
    Until,
    assert_survives_crashes,
    assert_survives_seeds,
    causes_known,
    facts_once,
    no_duplicate_ids,
    wishes_answered,
)
from penstock_schemas import (
    Event,
    JobCancelRequested,
    JobFailed,
    JobPlaced,
    JobRequested,
    JobStarted,
    ObjectRef,
    Program,
    Resources,
)
from penstock_trainer.app import build
from penstock_trainer.ports import AttemptId
from penstock_trainer.settings import TrainerSettings
from penstock_trainer.testing import FakeLauncher

LAUNCHERS: dict[int, FakeLauncher] = {}
"""By the identity of the world: what the check looks at."""
MISSING = ObjectRef(uri="s3://penstock/default/x", digest="blake3:" + "9f" * 32, size_bytes=1)


def request(job: str, **details: object) -> JobRequested:
    values = {"job": job, "program": Program(command=("{python}", "x.py")), "max_attempts": 2}
    return JobRequested.model_validate(values | details)


def toy_scheduler(ports: SimPorts) -> Service:
    """Places every job, and every failed one again, on one node."""
    requested: dict[str, int] = {}

    def evolve(state: dict[str, int], recorded: Recorded) -> dict[str, int]:
        if isinstance(recorded.event, JobPlaced):
            state[recorded.event.job] = recorded.event.attempt
        return state

    desk = Decider("scheduler", ports.log, ports.clock, Fold({"job"}, requested, evolve))

    def place(attempt: int, job: str, state: dict[str, int]) -> list[Event]:
        if state.get(job, 0) >= attempt:
            return []
        place = JobPlaced(job=job, attempt=attempt, node="n", resources=Resources(), reason="free")
        return [place]

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


def setup(world: SimWorld) -> dict[str, Build]:
    launcher = FakeLauncher()
    LAUNCHERS.clear()
    LAUNCHERS[id(world)] = launcher
    world.spawn(scripts(launcher, set()))
    settings = TrainerSettings(work_dir=Path(tempfile.gettempdir()) / "penstock-trainer-simulated")

    def trainer(ports: SimPorts) -> Service:
        return build(settings, ports, ports.crashable(launcher))

    return {"trainer": trainer, "scheduler": toy_scheduler}


def ended(*jobs: str) -> Callable[[Sequence[Recorded]], bool]:
    def holds(log: Sequence[Recorded]) -> bool:
        return set(jobs) <= {item.event.id for item in log if _is_end(item)}

    return holds


def _is_end(item: Recorded) -> bool:
    final = isinstance(item.event, JobFailed) and item.event.final
    return final or item.type in ("job.succeeded", "job.cancelled")


def check(log: SimLog) -> None:
    no_duplicate_ids(log)
    causes_known(log)
    facts_once(log, "job.started", field="attempt")
    facts_once(log, "job.failed", field="attempt")
    assert not log.dead_letters
    for item in log:
        if item.type == "job.requested":
            assert sum(_is_end(other) for other in log if other.aggregate == item.aggregate) == 1
    launcher = LAUNCHERS[id(log.world)]
    assert len(launcher.starts) == len(set(launcher.starts))
    started = [item.event for item in log if isinstance(item.event, JobStarted)]
    claims = {(event.job, event.attempt) for event in started}
    assert {(one.job, one.attempt) for one in launcher.starts} <= claims
    metrics = log.world.telemetry.all_after(("telemetry.default.job.metric.*",))
    assert len(metrics) == sum(one.job != "endless" for one in launcher.starts)


def _is_start(item: Recorded) -> bool:
    return isinstance(item.event, JobStarted)


def started(job: str) -> Until:
    return Until(lambda log: any(_is_start(item) and item.event.id == job for item in log))


RETRIED = Scenario(setup, publish=[request("flaky")], until=ended("flaky"))
CANCELLED = Scenario(
    setup,
    publish=[request("endless"), started("endless"), Pause(1), JobCancelRequested(job="endless")],
    until=ended("endless"),
)
MISSING_INPUT = Scenario(
    setup, publish=[request("lame", inputs={"training": MISSING})], until=ended("lame")
)


def test_a_failing_job_is_tried_again_and_succeeds_through_every_crash() -> None:
    assert_survives_crashes(RETRIED, check)


def test_a_cancelled_job_ends_once_through_every_crash() -> None:
    def cancelled(log: SimLog) -> None:
        check(log)
        wishes_answered(log, "job.cancel-requested", "job.cancelled")

    assert_survives_crashes(CANCELLED, cancelled)


def test_a_missing_input_fails_the_job_for_good_and_starts_nothing() -> None:
    log = MISSING_INPUT.run()
    check(log)
    assert not LAUNCHERS[id(log.world)].starts
    (failed,) = (item.event for item in log if isinstance(item.event, JobFailed))
    assert failed.final
    assert "input" in failed.reason


def test_jobs_survive_the_faults_of_the_bus(sim_seeds: range) -> None:
    publish = [request("plain"), *CANCELLED.publish, request("flaky")]
    scenario = Scenario(setup, publish, until=ended("plain", "endless", "flaky"))

    def without_metrics(log: SimLog) -> None:
        no_duplicate_ids(log)
        facts_once(log, "job.started", field="attempt")
        facts_once(log, "job.succeeded", "job.cancelled")
        starts = LAUNCHERS[id(log.world)].starts
        assert len(starts) == len(set(starts))

    assert_survives_seeds(scenario, without_metrics, sim_seeds)
