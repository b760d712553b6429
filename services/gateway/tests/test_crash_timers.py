"""Triggers that wait for time, on the simulated bus: whatever dies when, each event is in one
firing, and each planned time is fired once."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import pairwise

from penstock_chassis.message import Recorded
from penstock_chassis.testing import (
    Build,
    Pause,
    Scenario,
    SimLog,
    SimWorld,
    assert_survives_crashes,
    assert_survives_seeds,
    no_duplicate_ids,
)
from penstock_gateway.app import build
from penstock_gateway.settings import GatewaySettings
from penstock_gateway.testing import InProcessServer
from penstock_schemas import (
    Action,
    Batch,
    Concurrency,
    Cron,
    Debounce,
    Event,
    Program,
    QueueRequested,
    TriggerFired,
    TriggerRequested,
    TriggerSkipped,
)

ON = "queue.requested"
EVENTS = 6
QUIET_SECONDS = 4.0
EVERY_SECONDS = 10.0
PLANNED_MIN = 3


def setup(world: SimWorld) -> Mapping[str, Build]:
    return {"gateway": lambda ports: build(GatewaySettings(), ports, InProcessServer())}


def trigger(name: str, **rules: object) -> Event:
    do = Action(type="job.cancel-requested", data={"job": name + "-${number}"})
    rules = {"on": ON, "do": do, **rules}
    return TriggerRequested.model_validate({"trigger": name, **rules})


def events() -> list[Event | Pause]:
    found: list[Event | Pause] = []
    for number in range(EVENTS):
        found += [QueueRequested(queue=f"q-{number}"), Pause(3.0 if number % 2 else 7.0)]
    return found


def firings(log: Sequence[Recorded], name: str) -> list[TriggerFired]:
    return [
        item.event
        for item in log
        if isinstance(item.event, TriggerFired) and item.event.trigger == name
    ]


def covered(log: Sequence[Recorded], name: str) -> int:
    return sum(event.count for event in firings(log, name))


GATHERING = Scenario(
    setup,
    publish=[
        trigger("quiet", debounce=Debounce(quiet_seconds=QUIET_SECONDS)),
        trigger("four", batch=Batch(size=4, wait_seconds_max=60)),
        trigger("seldom", at_most_every_seconds=EVERY_SECONDS),
        trigger("cool", cooldown_seconds=EVERY_SECONDS),
        *events(),
    ],
    until=lambda log: all(covered(log, name) == EVENTS for name in ("quiet", "four", "seldom")),
    settle_seconds=30,
)


def check_gathering(log: SimLog) -> None:
    no_duplicate_ids(log)
    assert not log.dead_letters
    sequences = {item.id: item.sequence for item in log if item.type == ON}
    assert len(sequences) == EVENTS
    for name in ("quiet", "four", "seldom"):
        fired = firings(log, name)
        causes = [cause for event in fired for cause in event.causes or (event.cause,)]
        assert [sequences[cause] for cause in causes] == sorted(sequences.values()), name
        assert [event.number for event in fired] == list(range(1, len(fired) + 1))
        assert [event.through for event in fired] == [sequences[event.cause] for event in fired]
    assert [event.count for event in firings(log, "four")] == [4, 2]
    dues = [event.due for event in firings(log, "seldom")]
    every = timedelta(seconds=EVERY_SECONDS)
    assert all(later >= sooner + every for sooner, later in pairwise(dues))
    produced = [item for item in log if item.type == "job.cancel-requested"]
    assert len(produced) == sum(isinstance(item.event, TriggerFired) for item in log)


def test_events_are_gathered_once_through_a_crash_at_every_port_call() -> None:
    assert_survives_crashes(GATHERING, check_gathering)


def test_events_are_gathered_once_through_faults_of_the_bus(sim_seeds: range) -> None:
    assert_survives_seeds(GATHERING, check_gathering, sim_seeds)


PLANNED = Scenario(
    setup,
    publish=[trigger("minutely", on=(), cron=Cron(expression="* * * * *", missed="all"))],
    until=lambda log: len(firings(log, "minutely")) >= PLANNED_MIN,
    settle_seconds=30,
)


def check_planned(log: SimLog) -> None:
    no_duplicate_ids(log)
    assert not any(isinstance(item.event, TriggerSkipped) for item in log)
    times = [event.planned for event in firings(log, "minutely")]
    first = times[0]
    assert first is not None
    assert times == [first + timedelta(minutes=number) for number in range(len(times))]
    assert len({item.correlation_id for item in log}) == 1 + len(times)  # stories of their own


def test_planned_times_fire_once_through_a_crash_at_every_port_call() -> None:
    assert_survives_crashes(PLANNED, check_planned)


def test_planned_times_fire_once_through_faults_of_the_bus(sim_seeds: range) -> None:
    assert_survives_seeds(PLANNED, check_planned, sim_seeds)


def one_job(name: str, policy: str) -> Event:
    program = Program(command=("true",)).model_dump(mode="json")
    do = Action(type="job.requested", data={"job": name + "-${number}", "program": program})
    concurrency = Concurrency.model_validate({"policy": policy, "lasts_seconds_max": 20})
    return trigger(name, do=do, concurrency=concurrency)


RUNS = Scenario(
    setup,
    publish=[*(one_job(policy, policy) for policy in ("queue", "replace", "skip")), *events()],
    until=lambda log: len(firings(log, "queue")) == len(firings(log, "replace")) == EVENTS,
    settle_seconds=40,
)
"""Nobody runs the jobs: each is taken for ended after 20 seconds."""


def check_runs(log: SimLog) -> None:
    no_duplicate_ids(log)
    for name in ("queue", "replace"):
        through = [event.through for event in firings(log, name)]
        assert len(through) == EVENTS
        assert through == sorted(set(through))
    times = {item.event.id: item.time for item in log if item.type == "job.requested"}
    queued = [times[f"queue-{number}"] for number in range(1, EVENTS + 1)]
    last = timedelta(seconds=20)
    assert all(b >= a + last for a, b in pairwise(queued))
    cancelled = [item.event.id for item in log if item.type == "job.cancel-requested"]
    assert len(cancelled) == len(set(cancelled)) > 0
    assert set(cancelled) <= {f"replace-{number}" for number in range(1, EVENTS)}
    skipped = [item.event for item in log if isinstance(item.event, TriggerSkipped)]
    assert {(event.trigger, event.kind) for event in skipped} == {("skip", "running")}
    assert len(skipped) <= len(firings(log, "skip"))


def test_runs_are_one_at_a_time_through_a_crash_at_every_port_call() -> None:
    assert_survives_crashes(RUNS, check_runs)


def test_runs_are_one_at_a_time_through_faults_of_the_bus(sim_seeds: range) -> None:
    assert_survives_seeds(RUNS, check_runs, sim_seeds)


def both_setup(world: SimWorld) -> Mapping[str, Build]:
    """Two gateways on one log."""
    return {
        name: lambda ports: build(GatewaySettings(), ports, InProcessServer())
        for name in ("gateway", "second")
    }


TWO = Scenario(
    both_setup,
    publish=GATHERING.publish,
    until=GATHERING.until,
    settle_seconds=GATHERING.settle_seconds,
)


def test_two_gateways_fire_once(sim_seeds: range) -> None:
    assert_survives_seeds(TWO, check_gathering, sim_seeds)
