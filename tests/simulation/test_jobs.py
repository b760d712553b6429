"""Scheduler and trainer together on the simulated bus: they must see a job alike."""

import asyncio
import tempfile
from collections.abc import Iterable
from pathlib import Path

from penstock_chassis.message import Draft
from penstock_chassis.testing import (
    Pause,
    Scenario,
    SimLog,
    SimWorld,
    assert_survives_crashes,
    assert_survives_seeds,
)
from penstock_scheduler.app import build as build_scheduler
from penstock_scheduler.settings import SchedulerSettings
from penstock_schemas import (
    JobPlaced,
    JobRejected,
    JobRequested,
    JobStarted,
    JobSucceeded,
    Program,
    Resources,
)
from penstock_trainer.app import build as build_trainer
from penstock_trainer.settings import TrainerSettings
from penstock_trainer.testing import FakeLauncher

NODES = [{"node": "local", "cpu": 2}]
RUN_SECONDS = 2.0


def setup(world: SimWorld):
    """A scheduler and a trainer of two CPUs; every attempt succeeds after a while."""
    launcher = FakeLauncher()
    world.spawn(_succeed(launcher))
    work = Path(tempfile.mkdtemp())
    return {
        "scheduler": lambda ports: build_scheduler(
            SchedulerSettings(work_dir=work, nodes=NODES), ports
        ),
        "trainer": lambda ports: build_trainer(
            TrainerSettings(work_dir=work), ports, ports.crashable(launcher)
        ),
    }


async def _succeed(launcher: FakeLauncher) -> None:
    done = set()
    while True:
        await asyncio.sleep(RUN_SECONDS)  # virtual
        for attempt in launcher.starts:
            if attempt not in done and not launcher.attempt(attempt).seen.ended:
                done.add(attempt)
                launcher.finish(attempt, exit_code=0, result={"metrics": {}})


def job(name: str = "a", cpu: float = 1) -> JobRequested:
    return JobRequested(job=name, program=Program(command=("true",)), resources=Resources(cpu=cpu))


def said(log: SimLog, name: str) -> list[str]:
    return [item.type for item in log if item.event.id == name]


def of(log: Iterable, kind: type) -> list:
    return [item for item in log if isinstance(item.event, kind)]


def test_a_refused_job_can_be_asked_for_again_and_then_runs() -> None:
    scenario = Scenario(setup, [job(cpu=99), Pause(3), job(), Pause(20), job("b", 2), Pause(20)])

    def check(log: SimLog) -> None:
        too_big, small = of(log, JobRequested)[:2]
        refused = {item.event.request for item in of(log, JobRejected)}
        # Asked while the first was still unanswered (nobody was there to), the id was taken.
        assert refused in ({too_big.id}, {too_big.id, small.id})
        assert len(of(log, JobRejected)) == len(refused)
        assert len(refused) == 2 or said(log, "a")[-1] == "job.succeeded"
        assert said(log, "b")[-1] == "job.succeeded", "no CPU is held by what never ran"

    assert said(scenario.run(), "a")[-1] == "job.succeeded"
    assert_survives_crashes(scenario, check)


def test_a_second_request_is_refused_once_and_touches_nothing_of_the_first(
    sim_seeds: range,
) -> None:
    scenario = Scenario(setup, [job(), Pause(1), job(), Pause(10), job(), Pause(20)])

    def check(log: SimLog) -> None:
        first, second, third = of(log, JobRequested)
        refused = [item.event.request for item in of(log, JobRejected)]
        assert sorted(refused) == sorted([second.id, third.id])
        assert (
            len(of(log, JobPlaced)) == len(of(log, JobStarted)) == len(of(log, JobSucceeded)) == 1
        )
        assert not log.dead_letters
        assert first.id not in refused

    check(scenario.run())
    assert_survives_crashes(scenario, check)
    assert_survives_seeds(scenario, check, sim_seeds)


def test_the_refusal_of_another_request_is_not_the_end_of_a_running_job() -> None:
    stray = Draft(JobRejected(job="a", request="somebody-else", reason="not valid"), "default")
    log = Scenario(setup, [job(), Pause(1), stray, Pause(20), job("b", 2), Pause(20)]).run()
    assert said(log, "a")[-1] == "job.succeeded"
    assert said(log, "b")[-1] == "job.succeeded"
