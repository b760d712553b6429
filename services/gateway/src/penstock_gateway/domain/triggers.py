"""Triggers: when an event of type `on` appears for which `when` holds, append `do`.

Guarantees, all decided from the log alone:

- A trigger judges every event of its namespace that was stored after it was declared, by the
  definition that stood then, exactly once for ever: `trigger.fired` names its cause, and the
  causes are kept.
- The firing and what it asks for are one atomic append.
- What cannot be made is refused once, by `trigger.rejected` with the field and the fix.
- A trigger that feeds itself is stopped: no firing where `GENERATIONS_MAX` of its own firings
  are ancestors of the event (by causation).
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from penstock_chassis.message import Recorded
from penstock_gateway.domain.expressions import Compile
from penstock_gateway.domain.templates import InvalidTemplate, render
from penstock_gateway.domain.trigger_book import TriggerBook
from penstock_gateway.domain.trigger_checks import fault_of
from penstock_gateway.errors import ExpressionError, GatewayError, MissingValue
from penstock_schemas import (
    Event,
    InvalidEvent,
    TriggerFired,
    TriggerRejected,
    TriggerRequested,
    decode,
    event_class,
)

GENERATIONS_MAX = 8
"""Firings of one trigger that may be ancestors of an event that it fires for."""
REASON_LENGTH_MAX = 900


class _Unfit(GatewayError):
    """This firing cannot be made: the field at fault, what is wrong, what to do."""

    def __init__(self, field: str, reason: str, fix: str) -> None:
        super().__init__(reason)
        self.field, self.reason, self.fix = field, reason, fix


def decide_requested(
    book: TriggerBook, message: Recorded, compile: Compile
) -> Iterable[TriggerRejected]:
    """Refuse a declaration that could never work; a good one needs no answer, it stands."""
    event = message.event
    assert isinstance(event, TriggerRequested)
    if message.id in book.triggers[message.namespace, event.trigger].refused_requests:
        return ()
    fault = fault_of(book, message.namespace, event, compile)
    if fault is None:
        return ()
    return (_rejected(event.trigger, message.id, *fault),)


def decide_firings(book: TriggerBook, message: Recorded, compile: Compile) -> list[Event]:
    """What the triggers of the event's namespace do because of it: one batch."""
    events: list[Event] = []
    for name in sorted(book.waiting.get((message.namespace, message.type), ())):
        trigger = book.triggers[message.namespace, name]
        definition = trigger.standing_at(message.sequence)
        if definition is None or message.id in trigger.causes:
            continue
        declared = definition.declared
        if declared.on != message.type or declared.paused:
            continue
        if fault_of(book, message.namespace, declared, compile) is not None:
            continue  # the declaration itself is being refused
        try:
            events += _fire(book, message, declared, compile)
        except _Unfit as unfit:
            events.append(_rejected(name, message.id, unfit.field, unfit.reason, unfit.fix))
    return events


def _fire(
    book: TriggerBook, message: Recorded, declared: TriggerRequested, compile: Compile
) -> list[Event]:
    name = declared.trigger
    number = book.triggers[message.namespace, name].fired + 1
    variables = variables_of(message, number)
    if not _holds(declared, variables, compile):
        return []
    ancestors = book.descents.get(message.id, {}).get((message.namespace, name), 0)
    if ancestors >= GENERATIONS_MAX:
        raise _Unfit(
            "on",
            f"the trigger feeds itself: {ancestors} of its own firings led to this {message.type}",
            "narrow `when`, or wait for another event type",
        )
    produced = _produce(declared, variables, compile)
    fired = TriggerFired(
        trigger=name,
        number=number,
        cause=message.id,
        cause_type=message.type,
        produced_type=produced.type,
        produced_id=produced.id,
    )
    return [fired, produced]


def _holds(declared: TriggerRequested, variables: Mapping[str, Any], compile: Compile) -> bool:
    try:
        holds = compile(declared.when).evaluate(variables)
    except MissingValue:
        return False  # an event without the field that is asked for does not fulfil the condition
    except ExpressionError as error:
        raise _Unfit("when", str(error), "mend the condition") from None
    if not isinstance(holds, bool):
        raise _Unfit(
            "when",
            f"the condition gave {json.dumps(holds)[:80]}, neither true nor false",
            "compare it with something",
        )
    return holds


def _produce(declared: TriggerRequested, variables: Mapping[str, Any], compile: Compile) -> Event:
    type = declared.do.type
    try:
        data = render(declared.do.data, "do.data", variables, compile)
        return decode(type, event_class(type).version, json.dumps(data, allow_nan=False))
    except InvalidTemplate as error:
        raise _Unfit(error.path, error.problem, f"mend {error.path}") from None
    except InvalidEvent as error:
        at, problem = error.fields[0] if error.fields else ("", str(error))
        place = f"do.data.{at}" if at else "do.data"
        raise _Unfit(place, f"{type}: {problem}", f"mend {place}") from None


def variables_of(message: Recorded, number: int) -> dict[str, Any]:
    """What an expression may name."""
    return {
        "event": message.event.model_dump(mode="json"),
        "meta": {
            "id": message.id,
            "type": message.type,
            "namespace": message.namespace,
            "sequence": message.sequence,
            "time": message.time.isoformat().replace("+00:00", "Z"),
        },
        "number": number,
    }


def _rejected(name: str, request: str, at: str, reason: str, fix: str) -> TriggerRejected:
    return TriggerRejected(
        trigger=name, request=request, reason=reason[:REASON_LENGTH_MAX], field=at, fix=fix
    )
