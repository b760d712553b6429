"""Planned times: where clocks change, what was missed, and the checkpoint of it all."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock_chassis.message import Cause, Recorded
from penstock_gateway.adapters.cel import compile_cel
from penstock_gateway.domain.checkpoint import dump_checkpoint, load_checkpoint
from penstock_gateway.domain.cron import fault_of_cron, next_planned
from penstock_gateway.domain.judging import HOLDS
from penstock_gateway.domain.timing import PLANNED_OWED_MAX
from penstock_gateway.domain.trigger_book import TriggerBook
from penstock_gateway.domain.trigger_checks import fault_of
from penstock_gateway.domain.trigger_folding import Folding
from penstock_gateway.domain.triggers import MISSED_AFTER_SECONDS, Material, next_owed, say
from penstock_schemas import (
    Action,
    Concurrency,
    Cron,
    Debounce,
    Event,
    TriggerFired,
    TriggerPauseRequested,
    TriggerRequested,
    TriggerResumeRequested,
    TriggerSkipped,
    WebhookReceived,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
HOURLY = "0 * * * *"


def planned(expression: str, zone: str, after: str, count: int) -> list[str]:
    cron = Cron(expression=expression, time_zone=zone)
    found, moment = [], datetime.fromisoformat(after).replace(tzinfo=UTC)
    for _ in range(count):
        following = next_planned(cron, moment)
        assert following is not None
        assert following > moment
        moment = following
        found.append(moment.strftime("%m-%dT%H:%M"))
    return found


@pytest.mark.parametrize(
    ("expression", "after", "times"),
    [
        # 29 March 2026: 02:00 becomes 03:00 (UTC+1 to UTC+2).
        ("30 2 * * *", "2026-03-28T00:00", ["03-28T01:30", "03-29T01:00", "03-30T00:30"]),
        ("0 3 * * *", "2026-03-28T12:00", ["03-29T01:00", "03-30T01:00"]),
        ("*/30 * * * *", "2026-03-29T00:15", ["03-29T00:30", "03-29T01:00", "03-29T01:30"]),
        # 25 October 2026: 03:00 becomes 02:00 (UTC+2 to UTC+1).
        ("30 2 * * *", "2026-10-24T12:00", ["10-25T00:30", "10-26T01:30"]),
        ("30 2 * * *", "2026-10-25T01:10", ["10-26T01:30"]),
        ("*/30 * * * *", "2026-10-25T00:15", ["10-25T00:30", "10-25T01:00", "10-25T01:30"]),
        ("0 12 * * *", "2026-10-24T12:00", ["10-25T11:00", "10-26T11:00"]),
    ],
)
def test_planned_times_where_clocks_change(
    expression: str, after: str, times: Sequence[str]
) -> None:
    assert planned(expression, "Europe/Berlin", after, len(times)) == list(times)


@given(
    after=st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
    expression=st.sampled_from(["*/15 * * * *", "30 2 * * *", "0 0 1 * *", "5 1-3 * * 0"]),
)
@settings(max_examples=150, deadline=None)
def test_a_planned_time_lies_ahead_and_none_is_passed_over(
    after: datetime, zone: str, expression: str
) -> None:
    cron = Cron(expression=expression, time_zone=zone)
    moment = after.replace(tzinfo=UTC)
    first = next_planned(cron, moment)
    assert first is not None
    assert first > moment
    between = moment + (first - moment) / 2
    assert next_planned(cron, between) == first


@pytest.mark.parametrize(
    ("cron", "field"),
    [
        (Cron(expression="0 6 * *"), "cron.expression"),
        (Cron(expression="* * * * * *"), "cron.expression"),
        (Cron(expression="61 * * * *"), "cron.expression"),
        (Cron(expression="0 0 31 2 *"), "cron.expression"),
        (Cron(expression="x * * * *"), "cron.expression"),
        (Cron(expression=HOURLY, time_zone="Europe/Atlantis"), "cron.time_zone"),
        (Cron(expression=HOURLY, time_zone="../../etc/passwd"), "cron.time_zone"),
    ],
)
def test_what_cannot_be_planned_is_refused_by_field(cron: Cron, field: str) -> None:
    fault = fault_of_cron(cron)
    assert fault is not None
    assert fault[0] == field


class Desk:
    """A book and its log; `wake` is when a gateway runs and says what is owed."""

    def __init__(self) -> None:
        self.items: list[Recorded] = []
        self.live()

    def live(self) -> None:
        self.book = TriggerBook()
        check = partial(fault_of, compile=compile_cel)
        self.folding = Folding(self.book, check, compile_cel)
        for item in self.items:
            self.fold(item)

    def fold(self, item: Recorded) -> None:
        self.folding.step(item.sequence, item.time, item.aggregate, item, {})

    def append(self, event: Event, time: datetime, cause: Cause | None = None) -> None:
        sequence = len(self.items) + 1
        id = f"event-{sequence}"
        causation = cause.id if cause else None
        item = Recorded(event, "vision", sequence, time, id, "test", id, causation)
        self.items.append(item)
        self.fold(item)

    def wake(self, now: datetime) -> None:
        self.folding.advance(now)
        while self.book.owing:
            for key in tuple(self.book.owing):
                owed = next_owed(self.book.triggers[key], now)
                assert owed is not None
                said = say(self.book, key, owed, Material(), compile_cel)
                cause = Cause(said.cause.id, "vision", "")
                for event in said.events:
                    self.append(event, now, cause)

    def of(self, contract: type[Event]) -> list[Any]:
        return [item.event for item in self.items if isinstance(item.event, contract)]


def trigger(missed: str = "once", **rules: Any) -> TriggerRequested:
    cron = Cron.model_validate({"expression": HOURLY, "missed": missed})
    do = Action(type="job.cancel-requested", data={"job": "j-${number}"})
    return TriggerRequested(trigger="t", cron=cron, do=do, **rules)


def hours(*numbers: float) -> list[datetime]:
    return [START + timedelta(hours=number) for number in numbers]


@given(
    naps=st.lists(st.integers(min_value=1, max_value=540), min_size=1, max_size=20),
    missed=st.sampled_from(["skip", "once", "all"]),
    dies=st.booleans(),
)
@settings(max_examples=120, deadline=None)
def test_missed_times_go_by_the_policy(naps: Sequence[int], missed: str, dies: bool) -> None:
    """It runs only now and then, for a moment, after so many minutes each time."""
    desk = Desk()
    desk.append(trigger(missed), START)
    now, last = 0, 0
    expected: list[int] = []
    for nap in naps:
        now += nap
        if dies:
            desk.live()
        desk.wake(START + timedelta(minutes=now))
        due = list(range(last + 1, now // 60 + 1))
        late = [hour for hour in due if 60 * hour < now - MISSED_AFTER_SECONDS / 60]
        on_time = [hour for hour in due if hour not in late]
        expected += {"skip": [], "once": late[-1:], "all": late}[missed] + on_time
        last = now // 60
    fired = [event.planned for event in desk.of(TriggerFired)]
    assert fired == hours(*expected)
    skipped = sum(event.count for event in desk.of(TriggerSkipped))
    assert skipped == (last - len(expected) if missed == "skip" else 0)
    if missed == "once":
        assert sum(event.count for event in desk.of(TriggerFired)) == last


def test_all_is_bounded_and_the_rest_is_said() -> None:
    desk = Desk()
    desk.append(trigger("all"), START)
    desk.wake(START + timedelta(hours=10 * PLANNED_OWED_MAX + 0.5))
    fired = desk.of(TriggerFired)
    assert PLANNED_OWED_MAX - 1 <= len(fired) <= PLANNED_OWED_MAX
    (skipped,) = desk.of(TriggerSkipped)
    assert skipped.kind == "missed"
    assert skipped.count + len(fired) == 10 * PLANNED_OWED_MAX


def test_times_while_it_is_paused_are_not_missed() -> None:
    desk = Desk()
    desk.append(trigger("all"), START)
    desk.append(TriggerPauseRequested(trigger="t"), START + timedelta(minutes=30))
    desk.wake(START + timedelta(hours=5.5))
    desk.append(TriggerResumeRequested(trigger="t"), START + timedelta(hours=5.6))
    desk.wake(START + timedelta(hours=6.01))
    assert [event.planned for event in desk.of(TriggerFired)] == hours(6)


def test_a_condition_over_the_planned_time_is_asked() -> None:
    desk = Desk()
    desk.append(trigger("all", when="timestamp(event.time).getHours() % 2 == 0"), START)
    desk.wake(START + timedelta(hours=5.01))
    assert [event.planned for event in desk.of(TriggerFired)] == hours(2, 4)


def test_a_checkpoint_brings_back_the_book_as_it_was() -> None:
    desk = Desk()
    desk.append(trigger("all"), START)
    on = "webhook.received"
    job = {"job": "j-${number}", "program": {"command": ["x"]}}
    concurrency = Concurrency(policy="skip")
    for name, rules in (
        ("quiet", {"debounce": Debounce(quiet_seconds=5000)}),
        ("run", {"do": Action(type="job.requested", data=job), "concurrency": concurrency}),
        ("held", {"at_most_every_seconds": 5000}),
    ):
        do = Action(type="job.cancel-requested", data={"job": "j"})
        declared = TriggerRequested.model_validate({"trigger": name, "on": on, "do": do, **rules})
        desk.append(declared, START)
    for number in range(3):
        event = WebhookReceived(webhook=f"w-{number}", source="s", delivery="d", data={})
        desk.append(event, START + timedelta(minutes=number))
        item = desk.items[-1]
        verdicts = dict.fromkeys(desk.book.wanted("vision", on), HOLDS)
        desk.folding.step(item.sequence, item.time, item.aggregate, item, verdicts)
    desk.book.triggers["vision", "run"].timing.running["job/j-1"] = START
    assert all(
        getattr(desk.book.triggers["vision", name].timing, part)
        for name, part in (("quiet", "gathered"), ("run", "owed"), ("held", "held"))
    )
    desk.book.descents.fire(("vision", "t"), "f", "s", ("c",), desk.items[0].aggregate)
    desk.book.descents.fire(("vision", "u"), "g", "s", ("f",), desk.items[0].aggregate)
    desk.book.runs["vision", "job/j-1"] = {"run": None}
    again = load_checkpoint(dump_checkpoint(desk.book))
    assert again == desk.book
    assert list(again.descents.by_event) == list(desk.book.descents.by_event)
    assert list(again.triggers) == list(desk.book.triggers)
    assert again.next_deadline() == desk.book.next_deadline()
