"""The rules of triggers: once for each event, by the definition that stood, never in a loop."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from penstock_chassis.message import Cause, Recorded
from penstock_gateway.adapters.cel import compile_cel
from penstock_gateway.domain.descent import GENERATIONS_MAX, STORY_FIRINGS_MAX
from penstock_gateway.domain.judging import event_variables, judge
from penstock_gateway.domain.trigger_book import TriggerBook
from penstock_gateway.domain.trigger_checks import TRIGGERS_PER_TYPE_MAX, fault_of
from penstock_gateway.domain.trigger_folding import Folding
from penstock_gateway.domain.triggers import Material, next_owed, say
from penstock_schemas import (
    Action,
    Event,
    QueueConfigured,
    QueueRequested,
    TriggerFired,
    TriggerFireRequested,
    TriggerPauseRequested,
    TriggerRejected,
    TriggerRequested,
    TriggerResumeRequested,
    TriggerSkipped,
    WebhookReceived,
    event_class,
)
from penstock_schemas.names import SYSTEM_NAMESPACE

START = datetime(2026, 1, 1, tzinfo=UTC)


class Log:
    """A log of one book: judges each event in its turn, and says what is owed at once."""

    def __init__(self) -> None:
        self.book = TriggerBook()
        self.folding = Folding(self.book, partial(fault_of, compile=compile_cel), compile_cel)
        self.items: list[Recorded] = []

    def append(
        self, event: Event, namespace: str = "vision", id: str = "", cause: Any = None
    ) -> Recorded:
        """Append and fold, and say nothing yet."""
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
        verdicts = {}
        for name in self.book.wanted(namespace, item.type):
            known = self.book.triggers[namespace, name]
            assert known.declared is not None
            variables = event_variables(item, known.upcoming)
            verdicts[name] = judge(known.declared, variables, compile_cel)
        if item.type != "trigger.fired" and item.causation_id is not None:
            self.book.descents.see(item.id, item.causation_id, item.aggregate)
        self.folding.step(sequence, item.time, item.aggregate, item, verdicts)
        return item

    def say(self) -> list[Recorded]:
        """Append what is owed now, not what comes of it."""
        said: list[Recorded] = []
        sayings = []
        for key, owed in self.book.owed():
            first = next_owed(self.book.triggers[key], self.items[-1].time)
            assert first is not None
            material = Material()
            if first.firing.members:
                material = Material(self.items[first.firing.through - 1])
            sayings.append((say(self.book, key, first, material, compile_cel), len(owed)))
        for one, _ in sayings:
            cause = Cause(one.cause.id, one.key[0], one.cause.correlation_id)
            said += [self.append(event, one.key[0], cause=cause) for event in one.events]
        return said

    def declare(self, **changes: Any) -> list[Recorded]:
        self.append(trigger(**changes))
        return self.say()

    def happen(self, event: Event, **options: Any) -> list[Recorded]:
        """Append an event, and what the triggers say because of it."""
        self.append(event, **options)
        return self.say()

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
    fired, produced = log.say()
    assert fired.event == TriggerFired(
        trigger="t",
        number=1,
        cause=cause.id,
        cause_type="webhook.received",
        produced_type="queue.requested",
        produced_id="q-1",
        firing=f"{cause.sequence}@",
        through=cause.sequence,
        due=cause.time,
    )
    assert produced.event == QueueRequested(queue="q-1", cpu_quota=4)
    assert fired.causation_id == produced.causation_id == cause.id


def test_a_condition_that_does_not_hold_fires_nothing() -> None:
    log = Log()
    log.declare(when="event.data.cpus > 100")
    assert log.happen(webhook()) == []


def test_an_event_without_the_field_in_the_condition_does_not_fulfil_it() -> None:
    log = Log()
    log.declare(when="event.data.colour == 'red'")
    assert log.happen(webhook()) == []
    assert len(log.happen(webhook(2, colour="red"))) == 2


def test_what_was_said_is_owed_no_more() -> None:
    log = Log()
    log.declare()
    for number in range(1, 50):
        assert len(log.happen(webhook(number))) == 2
        assert log.say() == []


def test_an_event_before_the_declaration_is_not_judged() -> None:
    log = Log()
    log.append(webhook())
    log.declare()
    assert log.say() == []


def test_an_event_is_judged_by_the_definition_that_stood_when_it_came() -> None:
    log = Log()
    log.declare(data={"queue": "old"})
    log.append(webhook(1))
    log.append(trigger(data={"queue": "new"}))
    log.append(webhook(2))
    log.append(trigger(paused=True))
    log.append(webhook(3))
    assert log.say()[1].event.id == "old"
    assert log.say()[1].event.id == "new"
    assert log.say() == []


def test_a_refused_declaration_leaves_the_former_one() -> None:
    log = Log()
    log.declare(data={"queue": "good"})
    log.append(trigger(data={"queue": "bad", "wrong": 1}))
    log.append(webhook(1))
    (refusal,) = log.say()
    assert isinstance(refusal.event, TriggerRejected)
    assert refusal.event.field == "do.data.wrong"
    assert log.say()[1].event.id == "good"
    assert log.say() == []
    assert log.happen(webhook(2))[1].event.id == "good"


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
    assert log.book.triggers["vision", "t"].declared is None


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
    (refusal,) = log.say()
    assert isinstance(refusal.event, TriggerRejected)
    assert (refusal.event.field, refusal.event.request) == (field, cause.id)
    assert log.say() == []


def test_namespaces_do_not_see_one_another() -> None:
    log = Log()
    log.declare()
    assert log.happen(webhook(), namespace="audio") == []
    assert not log.book.reads("audio", "webhook.received")
    assert not log.book.reads(SYSTEM_NAMESPACE, "webhook.received")


def test_several_triggers_of_one_event_fail_apart() -> None:
    log = Log()
    log.declare(trigger="a", data={"queue": "same"})
    log.declare(trigger="b", data={"queue": "${event.data.missing}"})
    log.declare(trigger="c", data={"queue": "same"})
    assert [item.type for item in log.happen(webhook())] == [
        "trigger.fired",
        "queue.requested",
        "trigger.rejected",
        "trigger.fired",
        "queue.requested",
    ]


def test_a_trigger_that_feeds_itself_is_stopped_with_its_reason() -> None:
    log = Log()
    log.declare(on="queue.requested", data={"queue": "q-${number}"})
    log.append(QueueRequested(queue="start"))
    for _ in range(GENERATIONS_MAX):
        assert [item.type for item in log.say()] == ["trigger.fired", "queue.requested"]
    (skipped,) = log.say()
    assert isinstance(skipped.event, TriggerSkipped)
    assert skipped.event.kind == "loop"
    assert f"feeds itself: {GENERATIONS_MAX}" in skipped.event.reason
    assert log.say() == []
    assert len(log.happen(QueueRequested(queue="fresh"))) == 2


def test_a_loop_over_what_others_say_because_of_it_is_found() -> None:
    log = Log()
    log.declare(on="queue.configured", data={"queue": "q-${number}"})
    log.append(QueueConfigured.model_validate(QueueConfigured.example))
    for _ in range(GENERATIONS_MAX):
        _, produced = log.say()
        answer = QueueConfigured.model_validate(
            {**QueueConfigured.example, "queue": produced.event.id}
        )
        log.append(answer, cause=produced.cause)
    (skipped,) = log.say()
    assert skipped.event.kind == "loop"


def exhaust(log: Log, steps_max: int) -> int:
    for steps in range(steps_max):
        if not log.say():
            return steps
    raise AssertionError(f"it does not end within {steps_max} steps")


def test_two_triggers_that_feed_one_another_are_stopped() -> None:
    log = Log()
    log.declare(
        trigger="ping", on="queue.requested", do_type="job.cancel-requested", data={"job": "j"}
    )
    log.declare(trigger="pong", on="job.cancel-requested", data={"queue": "q"})
    log.append(QueueRequested(queue="start"))
    exhaust(log, 100)
    assert len(log.of(TriggerFired)) == 2 * GENERATIONS_MAX
    assert len(log.of(TriggerSkipped)) == 1


@pytest.mark.parametrize("together", [2, 3, 5])
def test_several_triggers_that_multiply_one_another_are_stopped(together: int) -> None:
    log = Log()
    for number in range(together):
        log.declare(trigger=f"t-{number}", on="queue.requested", data={"queue": "q-${number}"})
    log.append(QueueRequested(queue="start"))
    exhaust(log, 10_000)
    assert len(log.of(TriggerFired)) <= together * (2 * STORY_FIRINGS_MAX)


def test_a_story_with_many_events_side_by_side_is_no_loop() -> None:
    log = Log()
    log.declare()
    root = log.append(webhook(0))
    log.say()
    for number in range(1, 4 * GENERATIONS_MAX):
        assert len(log.happen(webhook(number), cause=root.cause)) == 2


def test_a_pattern_waits_for_every_type_that_it_matches_but_triggers() -> None:
    log = Log()
    log.declare(on=("webhook.*", "*.rejected"), data={"queue": "q-${number}"})
    assert len(log.happen(webhook())) == 2
    rejected = event_class("job.rejected").model_validate(event_class("job.rejected").example)
    assert len(log.happen(rejected)) == 2
    assert not log.book.waiting.get(("vision", "trigger.rejected"))


def test_a_paused_trigger_judges_nothing_until_it_is_resumed() -> None:
    log = Log()
    log.declare()
    log.append(TriggerPauseRequested(trigger="t"))
    assert log.happen(webhook(1)) == []
    log.append(TriggerResumeRequested(trigger="t"))
    assert len(log.happen(webhook(2))) == 2


def test_a_trigger_fires_by_hand_whatever_else_it_says() -> None:
    log = Log()
    log.declare(when="false", cooldown_seconds=1000, data={"queue": "${event.name}"})
    log.append(TriggerPauseRequested(trigger="t"))
    for name in ("a", "b"):
        data = {"name": name}
        wish = TriggerFireRequested(trigger="t", data=data, by_admin=True)
        fired, produced = log.happen(wish)
        assert fired.event.cause_type == "trigger.fire-requested"
        assert produced.event.id == name


@pytest.mark.parametrize(
    "wish", [TriggerFireRequested, TriggerPauseRequested, TriggerResumeRequested]
)
def test_a_wish_about_no_trigger_is_refused(wish: type[Event]) -> None:
    log = Log()
    (refusal,) = log.happen(wish.model_validate({"trigger": "nobody"}))
    assert isinstance(refusal.event, TriggerRejected)
    assert "no trigger 'nobody'" in refusal.event.reason
    assert log.say() == []


def test_the_triggers_that_wait_for_one_type_are_bounded() -> None:
    log = Log()
    for number in range(TRIGGERS_PER_TYPE_MAX):
        assert log.declare(trigger=f"t-{number}") == []
    (refusal,) = log.declare(trigger="one-more")
    assert isinstance(refusal.event, TriggerRejected)
    assert refusal.event.field == "on"
    assert log.declare(trigger="t-0", when="false") == []
    assert len(log.happen(webhook())) == 2 * (TRIGGERS_PER_TYPE_MAX - 1)


class Triggers(RuleBasedStateMachine):
    """Declarations, pauses and events in any order; what is owed is said late or soon."""

    def __init__(self) -> None:
        super().__init__()
        self.log = Log()
        self.expected: dict[str, str] = {}
        self.queue: str | None = None
        self.paused = False

    @rule(queue=st.sampled_from(["a", "b"]), paused=st.booleans())
    def declare(self, queue: str, paused: bool) -> None:
        self.log.append(trigger(data={"queue": queue}, paused=paused))
        self.queue, self.paused = queue, paused

    @rule(bad=st.sampled_from([{"when": "1 +"}, {"data": {}}]))
    def declare_badly(self, bad: dict[str, Any]) -> None:
        self.log.append(trigger(**bad))

    @rule()
    def pause(self) -> None:
        self.log.append(TriggerPauseRequested(trigger="t"))
        self.paused = True

    @rule()
    def resume(self) -> None:
        self.log.append(TriggerResumeRequested(trigger="t"))
        self.paused = False

    @rule()
    def happen(self) -> None:
        event = self.log.append(webhook(len(self.log.items)))
        if self.queue is not None and not self.paused:
            self.expected[event.id] = self.queue

    @rule()
    def say(self) -> None:
        self.log.say()

    @rule()
    def die(self) -> None:
        """Another life folds the same log."""
        items, self.log.items = self.log.items, []
        self.log.book = TriggerBook()
        self.log.folding = Folding(
            self.log.book, partial(fault_of, compile=compile_cel), compile_cel
        )
        for item in items:
            cause = Cause(item.causation_id, item.namespace, "") if item.causation_id else None
            again = self.log.append(item.event, item.namespace, item.id, cause)
            assert again.sequence == item.sequence

    @invariant()
    def each_event_fires_at_most_once_by_what_stood(self) -> None:
        fired = self.log.of(TriggerFired)
        assert len({event.cause for event in fired}) == len(fired)
        assert [event.number for event in fired] == list(range(1, len(fired) + 1))
        for event in fired:
            assert self.expected[event.cause] == event.produced_id

    def teardown(self) -> None:
        while self.log.say():
            pass
        assert {event.cause for event in self.log.of(TriggerFired)} == self.expected.keys()


Triggers.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestTriggers = Triggers.TestCase
