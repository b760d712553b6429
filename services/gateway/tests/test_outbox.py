"""The rules of an outbox: when to try again, when to give up, what is ordered."""

import json
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from penstock_gateway.domain.outbox import (
    ENTRIES_MAX,
    FAILURES_OPEN,
    GIVE_UP_SECONDS,
    PROBES_SECONDS,
    RETRIES_SECONDS,
    RETRY_AFTER_SECONDS_MAX,
    UNTRIED_MAX,
    Outbox,
    Replay,
    from_document,
    nth,
    to_document,
)

HOUR = 3600.0
CONCURRENCY = 8


def make(*keys: str) -> Outbox:
    outbox = Outbox(10, 10)
    for number, key in enumerate(keys, 11):
        outbox.take(number, key)
    return outbox


def started(outbox: Outbox, now: float, *, ordered: bool = False) -> list[int]:
    return [entry.sequence for entry in outbox.start(now, ordered, CONCURRENCY)]


def test_retries_go_on_for_at_least_72_hours_and_spread_out() -> None:
    assert all(earlier <= later for earlier, later in pairwise(RETRIES_SECONDS))
    assert all(earlier <= later for earlier, later in pairwise(PROBES_SECONDS))
    assert sum(RETRIES_SECONDS) > GIVE_UP_SECONDS >= 72 * HOUR


@given(st.lists(st.floats(0, 1), min_size=40, max_size=40))
def test_one_event_that_always_fails_is_given_up_only_after_72_hours(chances: list[float]) -> None:
    outbox, now, first = make("job.a"), 1000.0, 1000.0
    for chance in chances:
        assert started(outbox, now) == [11]
        verdict = outbox.failed(11, now, chance)
        if verdict == "give-up":
            break
        assert verdict == "again"
        outbox.delivered(99)  # others go through
        wait = outbox.entries[11].due_at - now
        assert wait >= RETRIES_SECONDS[0]
        assert started(outbox, now + wait - 0.001) == []
        now += wait
    else:
        raise AssertionError("it was never given up")
    assert now - first >= 72 * HOUR
    assert now - first <= 72 * HOUR + 1.2 * RETRIES_SECONDS[-1]


@settings(deadline=None, max_examples=20)
@given(st.floats(0, 1))
def test_a_receiver_that_is_down_for_72_hours_is_disabled_and_was_asked_often(
    chance: float,
) -> None:
    outbox, now, tries = make(*(f"job.{n}" for n in range(30))), 1000.0, 0
    last = now
    while True:
        for sequence in started(outbox, now):
            assert tries < CONCURRENCY or outbox.failing
            tries += 1
            verdict = outbox.failed(sequence, now, chance)
            if verdict == "disable":
                assert now - 1000.0 >= 72 * HOUR
                assert tries > 72 * HOUR / (1.2 * PROBES_SECONDS[-1])
                return
            assert verdict == "again"
        wake_at = outbox.wake_at(ordered=False)
        assert wake_at is not None
        assert wake_at > now
        assert wake_at - last <= 1.2 * PROBES_SECONDS[-1] + 0.001
        now = last = wake_at


def test_a_receiver_that_fails_is_asked_with_one_event_at_a_time_and_comes_back_at_once() -> None:
    outbox = make(*(f"job.{n}" for n in range(20)))
    first = started(outbox, 0.0)
    assert len(first) == CONCURRENCY
    for sequence in first:
        outbox.failed(sequence, 0.0, 0.0)
    assert outbox.failing
    assert started(outbox, 0.0) == []
    assert outbox.wake_at(ordered=False) == PROBES_SECONDS[0]
    assert started(outbox, PROBES_SECONDS[0]) == [19]  # one that was not tried yet
    assert started(outbox, PROBES_SECONDS[0]) == []
    outbox.delivered(19)
    assert not outbox.failing
    assert len(started(outbox, PROBES_SECONDS[0])) == CONCURRENCY


def test_what_is_about_one_thing_waits_for_the_oldest_where_it_is_ordered() -> None:
    outbox = make("job.a", "job.b", "job.a", "job.b", "job.c")
    assert started(outbox, 0.0, ordered=True) == [11, 12, 15]
    outbox.failed(11, 0.0, 0.0)
    outbox.delivered(12)
    assert started(outbox, 0.0, ordered=True) == [14]
    assert started(outbox, RETRIES_SECONDS[0], ordered=True) == [11]
    outbox.delivered(11)
    assert started(outbox, RETRIES_SECONDS[0], ordered=True) == [13]


def test_410_disables_at_once() -> None:
    outbox = make("job.a")
    started(outbox, 0.0)
    assert outbox.failed(11, 0.0, 0.0, gone=True) == "disable"


def test_few_failures_disable_nothing_however_long_ago_the_first_was() -> None:
    outbox = make("job.a")
    for now in (0.0, 100 * HOUR, 200 * HOUR):
        assert started(outbox, now) == [11]
        assert outbox.failed(11, now, 0.0) == "again"


@given(st.just(0.0) | st.floats(-10, -1) | st.floats(1e-3, 1e9))
def test_a_receiver_may_ask_us_to_stay_away_within_a_bound(asked: float) -> None:
    outbox = make("job.a", "job.b")
    outbox.start(0.0, False, 1)
    outbox.failed(11, 0.0, 0.0, retry_after=asked)
    wait = min(max(asked, 0.0), RETRY_AFTER_SECONDS_MAX)
    assert outbox.quiet_until == wait
    if wait:
        assert started(outbox, wait * 0.999) == []
    assert 12 in started(outbox, wait)


def test_a_replay_of_what_waits_makes_it_due_and_of_what_is_in_flight_sends_it_again() -> None:
    outbox = make("job.a", "job.b")
    replay = Replay(50, 0, 12)
    outbox.ask_replay(replay)
    outbox.ask_replay(Replay(50, 0, 12))
    assert outbox.replays == [replay]
    assert started(outbox, 0.0) == [11, 12]
    outbox.failed(11, 0.0, 0.0)
    outbox.take_again(replay, 11, "job.a")
    outbox.take_again(replay, 12, "job.b")
    assert replay.after == 12
    assert started(outbox, 0.0) == [11]
    outbox.delivered(12)
    assert started(outbox, 0.0) == [12]
    outbox.delivered(12)
    assert 12 not in outbox.entries


class Life(RuleBasedStateMachine):
    """Any order of events, answers and restarts."""

    def __init__(self) -> None:
        super().__init__()
        self.outbox = Outbox(0, 0)
        self.now = 1000.0
        self.log: list[str] = []
        self.done: dict[str, list[int]] = {}
        self.finished: set[int] = set()
        self.flying: list[int] = []

    @precondition(lambda self: self.outbox.room > 0)
    @rule(key=st.sampled_from(["a", "b", "c"]))
    def append(self, key: str) -> None:
        self.log.append(key)
        self.outbox.take(len(self.log), key)

    @rule(seconds=st.floats(0, 40_000))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def start(self) -> None:
        was_failing = self.outbox.failing
        entries = self.outbox.start(self.now, True, CONCURRENCY)
        keys = [entry.key for entry in entries]
        assert len(set(keys)) == len(keys)
        assert not was_failing or len(entries) <= 1
        self.flying += [entry.sequence for entry in entries]
        wait = self.outbox.wait_seconds(self.now, ordered=True)
        assert wait is None or wait > 0
        assert wait is not None or self.flying or not self.outbox.entries, "sleeps for ever"

    @precondition(lambda self: self.flying)
    @rule(data=st.data())
    def take(self, data: st.DataObject) -> None:
        sequence = data.draw(st.sampled_from(self.flying))
        self.flying.remove(sequence)
        self.outbox.delivered(sequence)
        self._finish(sequence)

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), chance=st.floats(0, 1))
    def fail(self, data: st.DataObject, chance: float) -> None:
        sequence = data.draw(st.sampled_from(self.flying))
        self.flying.remove(sequence)
        first_at = self.outbox.entries[sequence].first_at or self.now
        verdict = self.outbox.failed(sequence, self.now, chance)
        if verdict == "again":
            due = self.outbox.next_try_at(sequence)
            assert due is not None
            return
        assert self.now - first_at >= GIVE_UP_SECONDS or verdict == "disable"
        self.outbox.drop(sequence)
        self._finish(sequence)

    @rule()
    def restart(self) -> None:
        kept = json.loads(json.dumps(to_document(self.outbox)))
        self.outbox = from_document(kept)
        self.flying = []

    def _finish(self, sequence: int) -> None:
        key = self.log[sequence - 1]
        self.finished.add(sequence)
        self.done.setdefault(key, []).append(sequence)

    @invariant()
    def every_event_waits_or_is_done(self) -> None:
        everything = set(range(1, len(self.log) + 1))
        assert set(self.outbox.entries) | self.finished == everything
        assert not set(self.outbox.entries) & self.finished

    @invariant()
    def what_is_about_one_thing_is_done_in_order(self) -> None:
        assert all(done == sorted(done) for done in self.done.values())

    @invariant()
    def nothing_below_the_position_is_forgotten(self) -> None:
        done_up_to = self.outbox.done_up_to
        assert all(sequence in self.finished for sequence in range(1, done_up_to + 1))
        assert len(self.outbox.entries) <= ENTRIES_MAX
        assert self.outbox.room <= UNTRIED_MAX

    @invariant()
    def there_is_always_a_next_try(self) -> None:
        if self.outbox.entries and not self.flying:
            assert self.outbox.wake_at(ordered=True) is not None

    @invariant()
    def a_failing_receiver_waits_at_most_five_minutes(self) -> None:
        if self.outbox.failures >= FAILURES_OPEN:
            assert self.outbox.quiet_until - self.now <= 1.2 * nth(PROBES_SECONDS, 99) + 0.001


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
