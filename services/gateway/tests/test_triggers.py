"""The rules of triggers: once for each event, by the definition that stood, never in a loop."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from penstock_chassis.message import Cause, Draft, Recorded, draft_ids
from penstock_gateway.adapters.cel import compile_cel
from penstock_gateway.domain.trigger_book import TriggerBook, concerns, evolve
from penstock_gateway.domain.trigger_checks import TRIGGERS_PER_TYPE_MAX
from penstock_gateway.domain.triggers import GENERATIONS_MAX, decide_firings, decide_requested
from penstock_schemas import (
    Action,
    Event,
    JobCancelRequested,
    QueueRequested,
    TriggerFired,
    TriggerRejected,
    TriggerRequested,
    WebhookReceived,
)
from penstock_schemas.names import SYSTEM_NAMESPACE

START = datetime(2026, 1, 1, tzinfo=UTC)


class Log:
    """A log of one fold: appends as the chassis would, one atomic batch at a time."""

    def __init__(self) -> None:
        self.book = TriggerBook()
        self.items: list[Recorded] = []

    def append(
        self, event: Event, namespace: str = "vision", id: str = "", cause: Cause | None = None
    ) -> Recorded:
        sequence = len(self.items) + 1
        item = Recorded(
            event=event,
            namespace=namespace,
            sequence=sequence,
            time=START + timedelta(seconds=sequence),
            id=id or f"event-{sequence}",
            source="test",
            correlation_id=cause.correlation_id if cause else id or f"event-{sequence}",
            causation_id=cause.id if cause else None,
        )
        self.items.append(item)
        evolve(self.book, item)
        return item

    def commit(self, message: Recorded, events: Any) -> list[Recorded]:
        drafts = [Draft(event, message.namespace) for event in events]
        ids = draft_ids(message.cause, "penstock/gateway", drafts)
        return [
            self.append(draft.event, draft.namespace, id, message.cause)
            for draft, id in zip(drafts, ids, strict=True)
        ]

    def declare(self, **changes: Any) -> list[Recorded]:
        message = self.append(trigger(**changes))
        return self.commit(message, decide_requested(self.book, message, compile_cel))

    def fire(self, message: Recorded) -> list[Recorded]:
        return self.commit(message, decide_firings(self.book, message, compile_cel))

    def of(self, contract: type[Event]) -> list[Any]:
        return [item.event for item in self.items if isinstance(item.event, contract)]


def trigger(**changes: Any) -> TriggerRequested:
    action = Action(
        type=changes.pop("do_type", "queue.requested"),
        data=changes.pop("data", {"queue": "q-${number}", "cpu_quota": "${event.data.cpus}"}),
    )
    values: dict[str, Any] = {"trigger": "t", "on": "webhook.received", "do": action}
    return TriggerRequested(**(values | changes))


def webhook(number: int = 1, **data: Any) -> WebhookReceived:
    return WebhookReceived(
        webhook=f"w-{number}", source="airline", delivery=str(number), data={"cpus": 4, **data}
    )


def test_a_firing_is_one_batch_of_what_fired_and_what_it_asks_for() -> None:
    log = Log()
    assert log.declare(when="event.source == 'airline'") == []
    cause = log.append(webhook())
    fired, produced = log.fire(cause)
    assert fired.event == TriggerFired(
        trigger="t",
        number=1,
        cause=cause.id,
        cause_type="webhook.received",
        produced_type="queue.requested",
        produced_id="q-1",
    )
    assert produced.event == QueueRequested(queue="q-1", cpu_quota=4)
    assert fired.causation_id == produced.causation_id == cause.id


def test_a_condition_that_does_not_hold_fires_nothing() -> None:
    log = Log()
    log.declare(when="event.data.cpus > 100")
    assert log.fire(log.append(webhook())) == []


def test_an_event_without_the_field_in_the_condition_does_not_fulfil_it() -> None:
    log = Log()
    log.declare(when="event.data.colour == 'red'")
    assert log.fire(log.append(webhook())) == []
    assert len(log.fire(log.append(webhook(2, colour="red")))) == 2


def test_the_same_event_fires_a_trigger_once_for_ever() -> None:
    log = Log()
    log.declare()
    cause = log.append(webhook())
    assert len(log.fire(cause)) == 2
    for number in range(2, 50):
        log.fire(log.append(webhook(number)))
    assert log.fire(cause) == []


def test_an_event_before_the_declaration_is_not_judged() -> None:
    log = Log()
    early = log.append(webhook())
    log.declare()
    assert log.fire(early) == []


def test_an_event_is_judged_by_the_definition_that_stood_when_it_came() -> None:
    log = Log()
    log.declare(data={"queue": "old"})
    between = log.append(webhook(1))
    log.declare(data={"queue": "new"})
    after = log.append(webhook(2))
    log.declare(paused=True)
    paused = log.append(webhook(3))
    assert log.fire(after)[1].event.id == "new"
    assert log.fire(between)[1].event.id == "old"
    assert log.fire(paused) == []


def test_a_refused_declaration_leaves_the_former_one() -> None:
    log = Log()
    log.declare(data={"queue": "good"})
    message = log.append(trigger(data={"queue": "bad", "wrong": 1}))
    unanswered = log.append(webhook(1))
    assert log.fire(unanswered) == []  # not decided by what is about to be refused
    (refusal,) = log.commit(message, decide_requested(log.book, message, compile_cel))
    assert isinstance(refusal.event, TriggerRejected)
    assert refusal.event.field == "do.data.wrong"
    assert list(decide_requested(log.book, message, compile_cel)) == []
    assert log.fire(log.append(webhook(2)))[1].event.id == "good"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"on": "no.such"}, "on"),
        ({"on": "trigger.rejected"}, "on"),
        ({"when": "1 +"}, "when"),
        ({"when": "evnt.source == 'x'"}, "when"),
        ({"when": ""}, "when"),
        ({"do_type": "nothing.requested", "data": {}}, "do.type"),
        ({"data": {"queue": "q", "cpu_qota": 1}}, "do.data.cpu_qota"),
        ({"data": {"cpu_quota": 1}}, "do.data.queue"),
        ({"data": {"queue": "${"}}, "do.data.queue"),
        ({"data": {"queue": "${nowhere}"}}, "do.data.queue"),
        ({"data": {"queue": "q-${1 +}"}}, "do.data.queue"),
    ],
)
def test_a_declaration_that_can_never_work_is_refused_by_field(
    changes: dict[str, Any], field: str
) -> None:
    log = Log()
    (refusal,) = log.declare(**changes)
    assert isinstance(refusal.event, TriggerRejected)
    assert (refusal.event.field, refusal.event.request) == (field, log.items[0].id)
    assert refusal.event.reason
    assert refusal.event.fix
    assert not log.book.triggers["vision", "t"].definitions


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"data": {"queue": "${event.data.name}"}}, "do.data.queue"),
        ({"data": {"queue": "Not A Name"}}, "do.data.queue"),
        ({"data": {"queue": "q", "cpu_quota": "${event.source}"}}, "do.data.cpu_quota"),
        ({"when": "event.data.cpus"}, "when"),
        ({"when": "event.data.cpus > 'x'"}, "when"),
    ],
)
def test_a_firing_that_cannot_be_made_is_refused_once(changes: dict[str, Any], field: str) -> None:
    log = Log()
    assert log.declare(**changes) == []
    cause = log.append(webhook())
    (refusal,) = log.fire(cause)
    assert isinstance(refusal.event, TriggerRejected)
    assert (refusal.event.field, refusal.event.request) == (field, cause.id)
    assert log.fire(cause) == []


def test_namespaces_do_not_see_one_another() -> None:
    log = Log()
    log.declare()
    foreign = log.append(webhook(), namespace="audio")
    assert not concerns(log.book, "audio", "webhook.received")
    assert log.fire(foreign) == []
    assert not concerns(log.book, SYSTEM_NAMESPACE, "webhook.received")


def test_several_triggers_of_one_event_fire_in_one_batch_and_fail_apart() -> None:
    log = Log()
    log.declare(trigger="a", data={"queue": "same"})
    log.declare(trigger="b", data={"queue": "${event.data.missing}"})
    log.declare(trigger="c", data={"queue": "same"})
    batch = log.fire(log.append(webhook()))
    types = [item.type for item in batch]
    assert types == [
        "trigger.fired",
        "queue.requested",
        "trigger.rejected",
        "trigger.fired",
        "queue.requested",
    ]
    assert len({item.id for item in batch}) == len(batch)


def test_a_trigger_that_feeds_itself_is_stopped_with_its_reason() -> None:
    log = Log()
    log.declare(on="queue.requested", data={"queue": "q-${number}"})
    event = log.append(QueueRequested(queue="start"))
    for _ in range(GENERATIONS_MAX):
        _, event = log.fire(event)
    (refusal,) = log.fire(event)
    assert isinstance(refusal.event, TriggerRejected)
    assert refusal.event.field == "on"
    assert f"feeds itself: {GENERATIONS_MAX}" in refusal.event.reason
    assert log.fire(event) == []
    assert len(log.fire(log.append(QueueRequested(queue="fresh")))) == 2


def test_two_triggers_that_feed_one_another_are_stopped() -> None:
    log = Log()
    log.declare(
        trigger="ping", on="queue.requested", do_type="job.cancel-requested", data={"job": "j"}
    )
    log.declare(trigger="pong", on="job.cancel-requested", data={"queue": "q"})
    events = [log.append(QueueRequested(queue="start"))]
    rounds = 0
    while events:
        rounds += 1
        assert rounds < 100, "it never ends"
        events = [
            item
            for event in events
            for item in log.fire(event)
            if isinstance(item.event, QueueRequested | JobCancelRequested)
        ]
    assert len(log.of(TriggerFired)) == 2 * GENERATIONS_MAX
    assert len(log.of(TriggerRejected)) == 1


def test_a_story_with_many_events_side_by_side_is_no_loop() -> None:
    log = Log()
    log.declare()
    root = log.append(webhook(0))
    for number in range(1, 4 * GENERATIONS_MAX):
        event = log.append(webhook(number), cause=root.cause)
        assert len(log.fire(event)) == 2


def test_the_triggers_that_wait_for_one_type_are_bounded() -> None:
    log = Log()
    for number in range(TRIGGERS_PER_TYPE_MAX):
        assert log.declare(trigger=f"t-{number}") == []
    (refusal,) = log.declare(trigger="one-more")
    assert isinstance(refusal.event, TriggerRejected)
    assert refusal.event.field == "on"
    assert log.declare(trigger="t-0", when="false") == []
    batch = log.fire(log.append(webhook()))
    assert len(batch) == 2 * (TRIGGERS_PER_TYPE_MAX - 1)


class Triggers(RuleBasedStateMachine):
    """Declarations and events in any order, each event handled any number of times."""

    def __init__(self) -> None:
        super().__init__()
        self.log = Log()
        self.standing: list[tuple[int, str, bool]] = []
        self.causes: list[Recorded] = []

    @rule(queue=st.sampled_from(["a", "b"]), paused=st.booleans())
    def declare(self, queue: str, paused: bool) -> None:
        self.log.declare(data={"queue": queue}, paused=paused)
        self.standing.append((self.log.items[-1].sequence, queue, paused))

    @rule(bad=st.sampled_from([{"when": "1 +"}, {"data": {}}]))
    def declare_badly(self, bad: dict[str, Any]) -> None:
        self.log.declare(**bad)

    @rule()
    def happen(self) -> None:
        self.causes.append(self.log.append(webhook(len(self.causes))))

    @rule(data=st.data())
    def handle(self, data: st.DataObject) -> None:
        if self.causes:
            self.log.fire(data.draw(st.sampled_from(self.causes)))

    @invariant()
    def each_event_fires_at_most_once_by_what_stood(self) -> None:
        fired = self.log.of(TriggerFired)
        assert len({event.cause for event in fired}) == len(fired)
        assert [event.number for event in fired] == list(range(1, len(fired) + 1))
        by_id = {cause.id: cause for cause in self.causes}
        for event in fired:
            sequence = by_id[event.cause].sequence
            _, queue, paused = [s for s in self.standing if s[0] < sequence][-1]
            assert (event.produced_id, paused) == (queue, False)

    def teardown(self) -> None:
        for cause in self.causes:
            self.log.fire(cause)
        fired = {event.cause for event in self.log.of(TriggerFired)}
        for cause in self.causes:
            before = [s for s in self.standing if s[0] < cause.sequence]
            assert (cause.id in fired) == bool(before and not before[-1][2])


Triggers.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestTriggers = Triggers.TestCase
