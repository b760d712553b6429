"""Each timing rule against a simple model, in virtual time: whatever the order of events, looks at
the clock, appends and deaths, what fires is what the rule's definition says of the arrivals."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from penstock_gateway.domain.firing import MANUAL, Firing, Member, Owed
from penstock_gateway.domain.timing import (
    QUEUED_MAX,
    Timing,
    advance,
    arrive,
    consume,
    deadline,
    end,
)
from penstock_schemas import Action, Batch, Concurrency, Debounce, Throttle, TriggerRequested

START = datetime(2026, 1, 1, tzinfo=UTC)
WAITS = st.integers(min_value=0, max_value=12)


class Fires(NamedTuple):
    """One firing, as a model says it."""

    due: int
    """Seconds since the start."""
    through: int
    """The number of its last event, from 1."""
    count: int


def declared(**rules: Any) -> TriggerRequested:
    do = Action(type="job.requested", data={})
    return TriggerRequested(trigger="t", on="webhook.received", do=do, **rules)


def at(seconds: int) -> datetime:
    return START + timedelta(seconds=seconds)


def event(number: int, seconds: int) -> Firing:
    member = Member(number, f"event-{number}", "webhook.received", "story")
    return Firing(at(seconds), (member,))


def seen(firing: Firing) -> Fires:
    seconds = int((firing.due - START).total_seconds())
    return Fires(seconds, firing.through, firing.count)


class Machine(RuleBasedStateMachine):
    """A trigger whose clock is looked at now and then; subclasses name the rules and the model."""

    declaration: TriggerRequested

    def __init__(self) -> None:
        super().__init__()
        self.timing = Timing()
        self.now = 0
        self.arrivals: list[int] = []
        self.said: list[Firing] = []
        self.log: list[tuple[int, Firing, bool]] = []
        """What stands in the log: when, what, and whether it is a firing that was said."""

    def model(self, arrivals: Sequence[int]) -> list[Fires]:
        raise NotImplementedError

    @rule(wait=WAITS)
    def happen(self, wait: int) -> None:
        self.now += wait
        self.arrivals.append(self.now)
        self.take(self.now, event(len(self.arrivals), self.now), False)

    def take(self, seconds: int, firing: Firing, said: bool) -> None:
        self.log.append((seconds, firing, said))
        self.fold(seconds, firing, said)

    def fold(self, seconds: int, firing: Firing, said: bool) -> None:
        advance(self.timing, self.declaration, at(seconds))
        if said:
            consume(self.timing, self.declaration, firing, "", True)
        else:
            arrive(self.timing, self.declaration, firing)

    @rule(wait=WAITS)
    def look(self, wait: int) -> None:
        self.now += wait
        advance(self.timing, self.declaration, at(self.now))

    @rule()
    def say(self) -> None:
        if self.timing.owed:
            firing = self.timing.owed[0].firing
            self.said.append(firing)
            self.take(self.now, firing, True)

    @rule()
    def die(self) -> None:
        """Another life folds the log, then looks at the clock."""
        self.timing = Timing()
        for entry in self.log:
            self.fold(*entry)
        advance(self.timing, self.declaration, at(self.now))

    @invariant()
    def what_fired_is_what_the_rule_says(self) -> None:
        advance(self.timing, self.declaration, at(self.now))
        fired = [seen(firing) for firing in self.said]
        fired += [seen(owed.firing) for owed in self.timing.owed]
        expected = [one for one in self.model(self.arrivals) if one.due <= self.now]
        assert fired == expected

    @invariant()
    def nothing_is_due_in_the_past(self) -> None:
        due = deadline(self.timing, self.declaration)
        assert due is None or due > at(self.now)

    def teardown(self) -> None:
        self.look(10_000)
        self.what_fired_is_what_the_rule_says()


def machine(cls: type[Machine]) -> Any:
    cls.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
    return cls.TestCase


class Immediate(Machine):
    declaration = declared()

    def model(self, arrivals: Sequence[int]) -> list[Fires]:
        return [Fires(time, number, 1) for number, time in enumerate(arrivals, 1)]


class DebounceMachine(Machine):
    declaration = declared(debounce=Debounce(quiet_seconds=5))
    longest: int | None = None

    def model(self, arrivals: Sequence[int]) -> list[Fires]:
        fires, group = [], [0]
        for number, time in enumerate(arrivals, 1):
            if number > 1 and time >= self.closes(arrivals, group):
                fires.append(Fires(self.closes(arrivals, group), group[-1] + 1, len(group)))
                group = []
            group = [*group, number - 1] if number > 1 else group
        if arrivals:
            fires.append(Fires(self.closes(arrivals, group), group[-1] + 1, len(group)))
        return fires

    def closes(self, arrivals: Sequence[int], group: Sequence[int]) -> int:
        quiet = arrivals[group[-1]] + 5
        return quiet if self.longest is None else min(quiet, arrivals[group[0]] + self.longest)


class BoundedDebounce(DebounceMachine):
    declaration = declared(debounce=Debounce(quiet_seconds=5, wait_seconds_max=11))
    longest = 11


class BatchMachine(Machine):
    declaration = declared(batch=Batch(size=3, wait_seconds_max=9))

    def model(self, arrivals: Sequence[int]) -> list[Fires]:
        fires: list[Fires] = []
        group: list[int] = []
        for number, time in enumerate(arrivals, 1):
            if group and time >= group[0] + 9:
                fires.append(Fires(group[0] + 9, number - 1, len(group)))
                group = []
            group.append(time)
            if len(group) == 3:
                fires.append(Fires(time, number, 3))
                group = []
        if group:
            fires.append(Fires(group[0] + 9, len(arrivals), len(group)))
        return fires


class PlainBatch(Machine):
    declaration = declared(batch=Batch(size=4))

    def model(self, arrivals: Sequence[int]) -> list[Fires]:
        return [Fires(arrivals[n - 1], n, 4) for n in range(4, len(arrivals) + 1, 4)]


class Cooldown(Machine):
    declaration = declared(cooldown_seconds=7)

    def model(self, arrivals: Sequence[int]) -> list[Fires]:
        fires: list[Fires] = []
        for number, time in enumerate(arrivals, 1):
            if not fires or time >= fires[-1].due + 7:
                fires.append(Fires(time, number, 1))
        return fires


class ThrottleMachine(Machine):
    declaration = declared(throttle=Throttle(count=2, seconds=10))

    def model(self, arrivals: Sequence[int]) -> list[Fires]:
        fires: list[Fires] = []
        for number, time in enumerate(arrivals, 1):
            if sum(time - 10 < fired.due <= time for fired in fires) < 2:
                fires.append(Fires(time, number, 1))
        return fires


class AtMostEvery(Machine):
    declaration = declared(at_most_every_seconds=8)

    def model(self, arrivals: Sequence[int]) -> list[Fires]:
        fires: list[Fires] = []
        held: list[int] = []
        for number, time in enumerate(arrivals, 1):
            if held and time >= fires[-1].due + 8:
                fires.append(Fires(fires[-1].due + 8, held[-1], len(held)))
                held = []
            if not fires or time >= fires[-1].due + 8:
                fires.append(Fires(time, number, 1))
            else:
                held.append(number)
        if held:
            fires.append(Fires(fires[-1].due + 8, held[-1], len(held)))
        return fires


class DebounceThenAtMostEvery(Machine):
    """Rules compose in one order: what was gathered is held back as one."""

    declaration = declared(debounce=Debounce(quiet_seconds=5), at_most_every_seconds=20)

    def model(self, arrivals: Sequence[int]) -> list[Fires]:
        gathered = DebounceMachine.model(self, arrivals)  # type: ignore[arg-type]
        fires: list[Fires] = []
        held: list[Fires] = []
        for one in gathered:
            if held and one.due >= fires[-1].due + 20:
                fires.append(self.joined(fires[-1].due + 20, held))
                held = []
            if not fires or one.due >= fires[-1].due + 20:
                fires.append(one)
            else:
                held.append(one)
        if held:
            fires.append(self.joined(fires[-1].due + 20, held))
        return fires

    longest = None
    closes = DebounceMachine.closes

    def joined(self, due: int, held: Sequence[Fires]) -> Fires:
        return Fires(due, held[-1].through, sum(one.count for one in held))


TestImmediate = machine(Immediate)
TestDebounce = machine(DebounceMachine)
TestBoundedDebounce = machine(BoundedDebounce)
TestBatch = machine(BatchMachine)
TestPlainBatch = machine(PlainBatch)
TestCooldown = machine(Cooldown)
TestThrottle = machine(ThrottleMachine)
TestAtMostEvery = machine(AtMostEvery)
TestDebounceThenAtMostEvery = machine(DebounceThenAtMostEvery)


class Runs(RuleBasedStateMachine):
    """Concurrency: one run at a time, by each policy; ends come late, or never."""

    policy = "queue"
    LASTS = 50

    def __init__(self) -> None:
        super().__init__()
        concurrency = Concurrency(policy=self.policy, lasts_seconds_max=self.LASTS)
        self.declaration = declared(concurrency=concurrency)
        self.timing = Timing()
        self.now = 0
        self.arrived = 0
        self.fired: list[int] = []
        self.running: int | None = None
        self.since = 0
        self.waiting: list[int] = []
        self.owed: int | None = None
        self.skipped: list[int] = []

    def expire(self) -> None:
        if self.running is not None and self.now >= self.since + self.LASTS:
            self.finish()

    def finish(self) -> None:
        self.running = None
        if self.owed is None and self.waiting:
            self.owed = self.waiting.pop(0)

    @rule(wait=WAITS)
    def happen(self, wait: int) -> None:
        self.pass_time(wait)
        self.arrived += 1
        arrive(self.timing, self.declaration, event(self.arrived, self.now))
        if self.running is None and self.owed is None:
            self.owed = self.arrived
        elif self.policy == "queue":
            self.waiting.append(self.arrived)
        else:
            self.skipped.append(self.arrived)

    @rule(wait=WAITS)
    def pass_time(self, wait: int) -> None:
        self.now += wait
        self.expire()
        advance(self.timing, self.declaration, at(self.now))

    @rule()
    def say(self) -> None:
        owed = [one for one in self.timing.owed if one.kind == "fire"]
        assert [one.firing.through for one in owed] == ([self.owed] if self.owed else [])
        if not owed:
            return
        firing = owed[0].firing
        consume(self.timing, self.declaration, firing, "", True)
        self.timing.running[f"job/{firing.through}"] = at(self.now)
        self.fired.append(firing.through)
        self.running, self.since, self.owed = firing.through, self.now, None
        end(self.timing, self.declaration, "", at(self.now))  # as the book does

    @rule()
    def finish_run(self) -> None:
        if self.running is not None:
            end(self.timing, self.declaration, f"job/{self.running}", at(self.now))
            self.finish()

    @invariant()
    def one_at_a_time_in_order(self) -> None:
        assert len(self.timing.running) <= 1
        assert self.fired == sorted(set(self.fired))
        assert [one.through for one in self.timing.queued] == self.waiting
        assert not set(self.fired) & set(self.skipped)

    def teardown(self) -> None:
        for _ in range(self.arrived + 1):
            self.say()
            self.finish_run()
        if self.policy == "queue":
            assert self.fired == list(range(1, self.arrived + 1))
        else:
            assert sorted(self.fired + self.skipped) == list(range(1, self.arrived + 1))


class Skips(Runs):
    policy = "skip"


Runs.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
Skips.TestCase.settings = Runs.TestCase.settings
TestQueue = Runs.TestCase
TestSkip = Skips.TestCase


def test_replacing_fires_for_every_event() -> None:
    rules = declared(concurrency=Concurrency(policy="replace"))
    timing = Timing(running={"job/old": at(0)})
    for number in range(1, 5):
        arrive(timing, rules, event(number, number))
    assert [one.firing.through for one in timing.owed] == [1, 2, 3, 4]


def test_a_run_that_blocks_is_said_once_however_much_comes() -> None:
    rules = declared(concurrency=Concurrency(policy="skip"))
    timing = Timing(running={"job/old": at(0)})
    for number in range(1, 1000):
        arrive(timing, rules, event(number, number))
    assert [(one.kind, one.firing.through) for one in timing.owed] == [("running", 1)]
    end(timing, rules, "job/old", at(1000))
    timing.running["job/next"] = at(1000)
    timing.owed.clear()
    arrive(timing, rules, event(1000, 1001))
    assert [one.kind for one in timing.owed] == ["running"]


def test_the_queue_is_bounded_and_says_so_once() -> None:
    rules = declared(concurrency=Concurrency(policy="queue"))
    timing = Timing(running={"job/old": at(0)})
    for number in range(1, QUEUED_MAX + 50):
        arrive(timing, rules, event(number, number))
    assert len(timing.queued) == QUEUED_MAX
    assert [(one.kind, one.firing.through) for one in timing.owed] == [("full", QUEUED_MAX + 1)]


@pytest.mark.parametrize(
    "rules",
    [
        declared(debounce=Debounce(quiet_seconds=5)),
        declared(batch=Batch(size=10, wait_seconds_max=5)),
        declared(at_most_every_seconds=5),
    ],
)
def test_what_the_log_says_stands_above_what_is_derived(rules: TriggerRequested) -> None:
    """Another gateway's clock was ahead: it fired for less than what is gathered here."""
    timing = Timing(fired_at=[at(0)])
    for number, seconds in ((1, 1), (2, 2), (3, 3)):
        arrive(timing, rules, event(number, seconds))
    said = event(1, 1).joined(event(2, 2)).at(at(2))
    consume(timing, rules, said, "event-2", True)
    advance(timing, rules, at(100))
    assert [seen(one.firing)[1:] for one in timing.owed] == [(3, 1)]


def owed_apart(rules: TriggerRequested) -> Timing:
    """Two firings, for events 1 and 2, decided and not said."""
    timing = Timing()
    arrive(timing, rules, event(1, 1))
    advance(timing, rules, at(6))
    arrive(timing, rules, event(2, 7))
    return timing


@pytest.mark.parametrize("quiet_at", [7, 20])
def test_a_firing_that_the_log_covers_with_a_later_one_is_owed_no_more(quiet_at: int) -> None:
    """Another gateway heard event 2 before event 1 was quiet here, and fired for both."""
    rules = declared(debounce=Debounce(quiet_seconds=5))
    timing = owed_apart(rules)
    advance(timing, rules, at(quiet_at))
    consume(timing, rules, event(1, 1).joined(event(2, 7)).at(at(12)), "event-2", True)
    advance(timing, rules, at(100))
    assert (timing.owed, timing.gathered) == ([], None)
    assert timing.fired_at == [at(12)]


def test_what_was_decided_with_more_than_the_log_says_keeps_the_rest() -> None:
    rules = declared(at_most_every_seconds=5)
    timing = Timing(fired_at=[at(0)])
    arrive(timing, rules, event(1, 1))
    arrive(timing, rules, event(2, 2))
    advance(timing, rules, at(5))
    consume(timing, rules, event(1, 5), "event-1", True)
    assert timing.owed == []
    advance(timing, rules, at(100))
    assert [seen(one.firing) for one in timing.owed] == [Fires(10, 2, 1)]


def test_a_firing_by_hand_covers_nothing_that_is_gathered_or_owed() -> None:
    rules = declared(debounce=Debounce(quiet_seconds=5))
    timing = owed_apart(rules)
    by_hand = Firing(at(8), (Member(3, "event-3", MANUAL, "story"),))
    arrive(timing, rules, by_hand)
    consume(timing, rules, by_hand, "event-3", True)
    advance(timing, rules, at(100))
    assert [one.firing.through for one in timing.owed] == [1, 2]


def test_a_refusal_of_a_later_event_leaves_what_is_owed_before_it() -> None:
    rules = declared(debounce=Debounce(quiet_seconds=5))
    timing = owed_apart(rules)
    refused = event(3, 8)
    timing.owed.append(Owed(refused, "refuse", fault=("when", "wrong", "mend it")))
    consume(timing, rules, refused, "event-3", False)
    advance(timing, rules, at(100))
    assert [one.firing.through for one in timing.owed] == [1, 2]
