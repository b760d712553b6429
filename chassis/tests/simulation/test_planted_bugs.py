"""The harness finds planted bugs and clears the right service.

A toy service, right and wrong, starts each requested job once and says when it is done. The right
one decides from its fold and appends under guards. Each wrong one has one bug of the kind that
the simulation exists to find.
"""

import asyncio
import itertools

import pytest

from penstock_chassis.decider import Decider
from penstock_chassis.fold import Fold
from penstock_chassis.message import Draft, Recorded, to_message
from penstock_chassis.ports import Ports
from penstock_chassis.service import Service
from penstock_chassis.testing import (
    ROUGH,
    Build,
    CrashPlan,
    Faults,
    Scenario,
    SimLog,
    assert_survives_crashes,
    assert_survives_seeds,
    crash_everywhere,
    facts_once,
    no_duplicate_ids,
    seeds,
    wishes_answered,
)
from penstock_chassis.testing.simbus.faults import Side
from penstock_schemas import (
    Event,
    JobPlaced,
    JobRequested,
    JobStarted,
    JobSucceeded,
    Program,
)

JOBS = 3
SIDES: tuple[Side, ...] = ("before", "after")
CALLS_WAITING_AT_THE_END = 4
State = dict[str, set[str]]


def requested(number: int) -> JobRequested:
    return JobRequested(job=f"job-{number}", program=Program(command=("train",)))


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
            if inbox:
                await decider.handle(inbox.pop(), finish)
            else:
                await asyncio.sleep(0.1)

    return Service("toy", {JobRequested: on_job_requested}, folds=[fold], background=[work])


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


BUGS = [
    saves_before_it_appends,
    makes_random_ids,
    forgets_while_it_waits,
    places_without_a_guard,
]
SEEDS_FOR_A_BUG = 40


def scenario(build: Build) -> Scenario:
    return Scenario(lambda world: {"toy": build}, publish=[requested(n) for n in range(JOBS)])


def test_the_right_service_survives_a_crash_at_every_port_call() -> None:
    assert_survives_crashes(scenario(right), check)


def test_the_right_service_survives_faults_and_a_crash(sim_seeds: range) -> None:
    assert_survives_seeds(scenario(right), check, sim_seeds)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_every_planted_bug_passes_a_clean_run_and_fails_under_crashes(bug: Build) -> None:
    check(scenario(bug).run())
    failures = list(crash_everywhere(scenario(bug), check))
    assert failures
    assert all(failure.plan is not None for failure in failures)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_every_planted_bug_fails_under_some_seeds(bug: Build) -> None:
    assert list(seeds(scenario(bug), check, SEEDS_FOR_A_BUG))


def test_a_run_waits_for_a_service_that_starts_more_slowly_than_things_settle() -> None:
    for seed in range(5):
        check(scenario(right).run(seed, faults=Faults(delay=1.0, delay_seconds_max=15.0)))


def test_a_failure_says_how_to_repeat_it() -> None:
    failure = next(crash_everywhere(scenario(saves_before_it_appends), check, seed=5))
    assert "seed 5" in str(failure)
    assert "toy died" in str(failure)
    assert failure.plan is not None
    log = scenario(saves_before_it_appends).run(failure.seed, crashes={"toy": failure.plan})
    with pytest.raises(AssertionError) as again:
        check(log)
    assert str(again.value) == str(failure.error)


def test_the_crash_happens_at_the_planned_call_and_side() -> None:
    calls = scenario(right).run().calls["toy"]
    crashed = [
        scenario(right).run(crashes={"toy": CrashPlan(at, side)}).crashes
        for at in range(1, calls + 1)
        for side in SIDES
    ]
    hit = [crashes for crashes in crashed if crashes]
    # A call that still waits when the run ends has no point after it.
    assert len(hit) >= 2 * calls - CALLS_WAITING_AT_THE_END
    assert all(len(crashes) == 1 for crashes in hit)
    assert crashed[0][0].startswith("toy#1 died before")
    assert crashed[0][0].endswith("(port call 1)")


def test_every_fault_occurs() -> None:
    happened: set[str] = set()
    for seed in range(20):
        world = scenario(right).run(seed, faults=Faults.rough(0.2)).world
        happened |= {what for _, _, what in world.trace.lines if what.startswith("fault ")}
    assert happened == {
        "fault drop_ack",
        "fault duplicate",
        "fault reorder",
        "fault lose_publish_answer",
        "fault late_publish",
        "fault refuse_publish",
    }


def test_each_fault_can_be_switched_on_alone() -> None:
    for name in ("drop_ack", "duplicate", "reorder", "lose_publish_answer", "refuse_publish"):
        happened: set[str] = set()
        for seed in range(5):
            world = scenario(right).run(seed, faults=Faults(**{name: 0.5})).world
            happened |= {what for _, _, what in world.trace.lines if what.startswith("fault ")}
        assert happened == {f"fault {name}"}


def test_a_clean_run_knows_no_fault() -> None:
    lines = scenario(right).run(3).world.trace.lines
    assert lines
    assert not [what for _, _, what in lines if what.startswith("fault ")]


def test_one_seed_is_one_schedule() -> None:
    plan = {"toy": CrashPlan(9, "after")}
    first, second = (
        scenario(right).run(7, faults=ROUGH, crashes=plan).world.digest() for _ in range(2)
    )
    assert first == second


def test_seeds_differ_in_schedule() -> None:
    digests = {scenario(right).run(seed).world.digest() for seed in range(10)}
    assert len(digests) == 10
