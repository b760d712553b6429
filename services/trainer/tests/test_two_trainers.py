"""Two trainers of one log, on the same nodes or each on its own: who starts which attempt."""

import asyncio
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from penstock_chassis.message import Recorded
from penstock_chassis.service import Service
from penstock_chassis.testing import (
    Build,
    Pause,
    Scenario,
    SimLog,
    SimPorts,
    SimWorld,
    assert_survives_crashes,
    assert_survives_seeds,
    facts_once,
    no_duplicate_ids,
    wishes_answered,
)
from penstock_schemas import (
    Event,
    JobCancelRequested,
    JobPlaced,
    JobPreempted,
    JobStarted,
    Resources,
)
from penstock_trainer.adapters.local import LocalLauncher
from penstock_trainer.app import build
from penstock_trainer.domain import SILENCE_SECONDS
from penstock_trainer.ports import AttemptSpec
from penstock_trainer.settings import TrainerSettings
from penstock_trainer.supervisor.supervisor import LOOK_SECONDS
from penstock_trainer.testing import FakeLauncher

sys.path.insert(0, str(Path(__file__).parent))
from simulated_jobs import ended, request, scripts, started, toy_scheduler

NAMES = ("one", "two")
ALL_NODES = dict.fromkeys(NAMES, "")
LAUNCHERS: dict[int, dict[str, FakeLauncher]] = {}
"""By the identity of the world, then by trainer."""


def setup(
    world: SimWorld, nodes: Mapping[str, str] = ALL_NODES, scheduler: Build = toy_scheduler
) -> dict[str, Build]:
    """Both trainers, with their `nodes`, and a scheduler."""
    launchers = {name: FakeLauncher(name=name) for name in NAMES}
    LAUNCHERS.clear()
    LAUNCHERS[id(world)] = launchers
    work_dir = Path(tempfile.gettempdir()) / "penstock-trainer-simulated"

    def trainer(launcher: FakeLauncher, nodes: str, ports: SimPorts) -> Service:
        settings = TrainerSettings(work_dir=work_dir, nodes=nodes)
        return build(settings, ports, ports.crashable(launcher))

    for launcher in launchers.values():
        world.spawn(scripts(launcher, set()))
    # Both are the service `trainer`, as two processes of it would be: they share one consumer.
    builds: dict[str, Build] = {
        name: partial(trainer, launchers[name], nodes[name]) for name in NAMES
    }
    return builds | {"scheduler": scheduler}


def setup_disjoint(world: SimWorld) -> dict[str, Build]:
    """Each trainer on a node of its own; a job is placed on the node that its name ends with."""
    scheduler = partial(toy_scheduler, node_of=lambda job: job.rsplit("-", 1)[-1])
    return setup(world, {name: name for name in NAMES}, scheduler)


def check(log: SimLog) -> None:
    no_duplicate_ids(log)
    facts_once(log, "job.started", field="attempt")
    facts_once(log, "job.failed", field="attempt")
    assert not log.dead_letters
    launchers = LAUNCHERS[id(log.world)]
    claims = {
        (item.event.job, item.event.attempt): item.event.trainer
        for item in log
        if isinstance(item.event, JobStarted)
    }
    starts = [(name, one) for name, fake in launchers.items() for one in fake.starts]
    assert len(starts) == len({one for _, one in starts}), "an attempt started twice"
    for name, one in starts:
        assert claims[one.job, one.attempt] == name, "who did not claim it started it"


JOBS = ("flaky", "plain", "plain-2")
MANY = Scenario(setup, publish=[request(job) for job in JOBS], until=ended(*JOBS))
CANCELLED = Scenario(
    setup,
    publish=[request("endless"), started("endless"), Pause(1), JobCancelRequested(job="endless")],
    until=ended("endless"),
)


def test_no_attempt_starts_on_both_through_every_crash_of_either() -> None:
    assert_survives_crashes(MANY, check)


def test_a_cancel_that_only_the_other_trainer_hears_ends_the_job_through_every_crash() -> None:
    def cancelled(log: SimLog) -> None:
        check(log)
        wishes_answered(log, "job.cancel-requested", "job.cancelled")
        times = {item.type: item.time for item in log}
        waited = times["job.cancelled"] - times["job.cancel-requested"]
        assert waited.total_seconds() < SILENCE_SECONDS, "its trainer did not hear of it"

    assert_survives_crashes(CANCELLED, cancelled)


def test_no_attempt_starts_on_both_under_the_faults_of_the_bus(sim_seeds: range) -> None:
    def no_double(log: SimLog) -> None:
        no_duplicate_ids(log)
        starts = [one for fake in LAUNCHERS[id(log.world)].values() for one in fake.starts]
        assert len(starts) == len(set(starts))

    assert_survives_seeds(MANY, no_double, sim_seeds)


EACH_ITS_OWN = tuple(f"plain-{number}-{name}" for number in range(2) for name in NAMES)
DISJOINT = Scenario(
    setup_disjoint, publish=[request(job) for job in EACH_ITS_OWN], until=ended(*EACH_ITS_OWN)
)


def _each_on_its_node(log: SimLog) -> None:
    for name, fake in LAUNCHERS[id(log.world)].items():
        assert {one.job for one in fake.starts} == {job for job in EACH_ITS_OWN if name in job}


def test_what_reaches_the_trainer_of_another_node_is_claimed_by_its_own_through_every_crash() -> (
    None
):
    def claimed(log: SimLog) -> None:
        check(log)
        _each_on_its_node(log)
        if not log.crashes:
            times = {(item.type, item.event.id): item.time for item in log}
            for job in EACH_ITS_OWN:
                waited = times["job.started", job] - times["job.placed", job]
                assert waited.total_seconds() <= LOOK_SECONDS + 0.5

    assert_survives_crashes(DISJOINT, claimed)


def test_disjoint_trainers_claim_each_attempt_once_under_the_faults_of_the_bus(
    sim_seeds: range,
) -> None:
    def once(log: SimLog) -> None:
        no_duplicate_ids(log)
        facts_once(log, "job.started", field="attempt")
        _each_on_its_node(log)

    assert_survives_seeds(DISJOINT, once, sim_seeds)


@pytest.mark.parametrize("asked", ["cancel", "preempt"])
def test_a_stop_of_what_waits_that_only_another_nodes_trainer_hears_ends_the_attempt(
    asked: str,
) -> None:
    job = "plain-two"
    place = JobPlaced(job=job, attempt=1, node="two", resources=Resources(), reason="free")
    stop: Event = JobCancelRequested(job=job, reason="enough")
    if asked == "preempt":
        stop = JobPreempted(job=job, attempt=1, reason="quota", deadline=datetime.now(UTC))

    def two_hears_nothing(world: SimWorld) -> dict[str, Build]:
        builds = setup_disjoint(world)
        deaf = {"two": lambda ports: replace(builds["two"](ports), handlers={})}
        return {"one": builds["one"]} | deaf

    def over(log: Sequence[Recorded]) -> bool:
        return any(item.type in ("job.cancelled", "job.failed") for item in log)

    log = Scenario(two_hears_nothing, [request(job), place, stop], until=over).run()
    check(log)
    assert not any(fake.starts for fake in LAUNCHERS[id(log.world)].values())


@pytest.mark.parametrize("whose", ["gone", None], ids=["another's", "nobody's"])
def test_the_claim_of_a_lost_trainer_is_never_started_and_a_cancel_ends_it(
    whose: str | None,
) -> None:
    place = JobPlaced(job="plain", attempt=1, node="n", resources=Resources(), reason="free")
    claim = JobStarted(job="plain", attempt=1, node="n", trainer=whose)
    cancel = JobCancelRequested(job="plain", reason="its machine is gone")
    scenario = Scenario(
        lambda world: {name: b for name, b in setup(world).items() if name != "scheduler"},
        publish=[request("plain"), place, claim, Pause(SILENCE_SECONDS), cancel],
        until=ended("plain"),
    )
    log = scenario.run()
    check(log)
    wishes_answered(log, "job.cancel-requested", "job.cancelled")
    assert not any(fake.starts for fake in LAUNCHERS[id(log.world)].values())
    asked, said = log[-2:]
    assert (said.time - asked.time).total_seconds() >= SILENCE_SECONDS


def test_a_claim_of_before_trainers_had_names_is_adopted_where_its_attempt_began() -> None:
    place = JobPlaced(job="plain", attempt=1, node="n", resources=Resources(), reason="free")

    def began_on_two(world: SimWorld) -> dict[str, Build]:
        builds = setup(world)
        two = LAUNCHERS[id(world)]["two"]
        world.spawn(two.start(AttemptSpec("default", "plain", 1, ("x",))))
        return {name: builds[name] for name in NAMES}

    claim = JobStarted(job="plain", attempt=1, node="n")
    scenario = Scenario(began_on_two, [request("plain"), place, claim], until=ended("plain"))

    def adopted(log: SimLog) -> None:
        facts_once(log, "job.succeeded")
        launchers = LAUNCHERS[id(log.world)]
        assert [len(launchers[name].starts) for name in NAMES] == [0, 1]
        assert log[-1].type == "job.succeeded"

    assert_survives_crashes(scenario, adopted)


async def test_the_local_identity_is_one_for_all_that_begin_at_once_and_goes_with_the_folder(
    tmp_path: Path,
) -> None:
    names = await asyncio.gather(*(LocalLauncher(tmp_path / "a").identity() for _ in range(20)))
    assert len(set(names)) == 1
    assert await LocalLauncher(tmp_path / "b").identity() not in names
    assert [file.name for file in (tmp_path / "a").iterdir()] == ["identity.json"]
    assert await LocalLauncher(tmp_path / "a").attempts() == ()
