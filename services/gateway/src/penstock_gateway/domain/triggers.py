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
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from penstock_chassis.message import Recorded
from penstock_gateway.domain.templates import InvalidTemplate, codes, render
from penstock_gateway.errors import ExpressionError, InvalidExpression, MissingValue
from penstock_gateway.ports import Compile
from penstock_schemas import (
    ANYONE,
    Event,
    InvalidEvent,
    TriggerFired,
    TriggerRejected,
    TriggerRequested,
    UnknownType,
    decode,
    event_class,
)

GENERATIONS_MAX = 8
"""Firings of one trigger that may be ancestors of an event that it fires for."""
DESCENDANTS_MAX = 100_000
"""Events whose descent from firings is kept; a loop's generations are close together."""
TRIGGERS_PER_TYPE_MAX = 100
"""Triggers of one namespace that may wait for one event type: they fire in one batch."""
REASON_LENGTH_MAX = 900

TriggerKey = tuple[str, str]
"""Namespace and name."""
Descent = Mapping[TriggerKey, int]
"""How many firings of each trigger are among an event and its ancestors."""


@dataclass(frozen=True, slots=True)
class Definition:
    """One declaration of a trigger. `request` and `sequence` are of the event that made it."""

    on: str
    when: str
    do_type: str
    do_data: Mapping[str, Any]
    paused: bool
    request: str
    sequence: int


@dataclass
class Trigger:
    """What is known of one trigger."""

    definitions: list[Definition] = field(default_factory=list)
    """Those that were not refused, oldest first."""
    accepted: set[str] = field(default_factory=set)
    fired: int = 0
    causes: set[str] = field(default_factory=set)
    """Ids of events that it has fired for, or refused to."""
    refused_requests: set[str] = field(default_factory=set)

    def standing_at(self, sequence: int) -> Definition | None:
        """The definition by which the event at `sequence` is judged."""
        for definition in reversed(self.definitions):
            if definition.sequence < sequence:
                return definition
        return None


@dataclass
class TriggerBook:
    """All triggers, and what is needed to find those that an event concerns."""

    triggers: dict[TriggerKey, Trigger] = field(default_factory=dict)
    waiting: dict[tuple[str, str], dict[str, None]] = field(default_factory=dict)
    """By namespace and event type: names of triggers that wait or once waited for it."""
    types: dict[str, int] = field(default_factory=dict)
    """Event types that any trigger waits or waited for."""
    descents: dict[str, Descent] = field(default_factory=dict)
    """By event id, for events that descend from firings; the oldest are forgotten."""


def evolve(book: TriggerBook, recorded: Recorded) -> TriggerBook:
    """The book after an event; changes it in place."""
    _descend(book, recorded)
    event = recorded.event
    if isinstance(event, TriggerRequested):
        _declare(book, recorded, event)
    elif isinstance(event, TriggerFired):
        trigger = book.triggers.setdefault((recorded.namespace, event.trigger), Trigger())
        trigger.fired += 1
        trigger.causes.add(event.cause)
    elif isinstance(event, TriggerRejected):
        trigger = book.triggers.setdefault((recorded.namespace, event.trigger), Trigger())
        kept = [d for d in trigger.definitions if d.request != event.request]
        if len(kept) == len(trigger.definitions):
            trigger.causes.add(event.request)
        trigger.definitions = kept
        trigger.refused_requests.add(event.request)
    return book


def _declare(book: TriggerBook, recorded: Recorded, event: TriggerRequested) -> None:
    trigger = book.triggers.setdefault((recorded.namespace, event.trigger), Trigger())
    definition = Definition(
        event.on,
        event.when,
        event.do.type,
        MappingProxyType(dict(event.do.data)),
        event.paused,
        recorded.id,
        recorded.sequence,
    )
    trigger.definitions.append(definition)
    place = (recorded.namespace, event.on)
    names = book.waiting.setdefault(place, {})
    if event.trigger not in names:
        names[event.trigger] = None
        book.types[event.on] = book.types.get(event.on, 0) + 1


def _descend(book: TriggerBook, recorded: Recorded) -> None:
    descent = book.descents.get(recorded.causation_id or "")
    if isinstance(recorded.event, TriggerFired):
        key = (recorded.namespace, recorded.event.trigger)
        grown = dict(descent or {})
        grown[key] = grown.get(key, 0) + 1
        descent = grown
        # What the firing asked for has the same cause as the firing: it is found by its aggregate.
        book.descents[_produced_key(recorded.namespace, recorded.event)] = descent
    else:
        produced = book.descents.pop(f"{recorded.causation_id} {_about(recorded)}", None)
        descent = produced or descent
    if descent:
        book.descents[recorded.id] = descent
        while len(book.descents) > DESCENDANTS_MAX:
            del book.descents[next(iter(book.descents))]


def _produced_key(namespace: str, event: TriggerFired) -> str:
    return f"{event.cause} {namespace}/{event.produced_type}/{event.produced_id}"


def _about(recorded: Recorded) -> str:
    return f"{recorded.namespace}/{recorded.type}/{recorded.event.id}"


def concerns(book: TriggerBook, namespace: str, type: str) -> bool:
    """Whether any trigger may have to judge an event; cheap, asked for every event."""
    return type in book.types and (namespace, type) in book.waiting


def decide_requested(
    book: TriggerBook, message: Recorded, compile: Compile
) -> Iterable[TriggerRejected]:
    """Refuse a declaration that could never work; a good one needs no answer, it stands."""
    event = message.event
    assert isinstance(event, TriggerRequested)
    trigger = book.triggers[message.namespace, event.trigger]
    if message.id in trigger.refused_requests:
        return ()
    fault = _fault(book, message.namespace, event, compile)
    if fault is None:
        return ()
    return (_rejected(event.trigger, message.id, *fault),)


def decide_firings(book: TriggerBook, message: Recorded, compile: Compile) -> list[Event]:
    """What the triggers of the event's namespace do because of it: one batch."""
    events: list[Event] = []
    judged = sorted(book.waiting.get((message.namespace, message.type), ()))
    for name in judged:
        trigger = book.triggers[message.namespace, name]
        definition = trigger.standing_at(message.sequence)
        if (
            definition is None
            or definition.on != message.type
            or definition.paused
            or message.id in trigger.causes
        ):
            continue
        events += _fire(book, message, name, trigger, definition, compile)
    return events


def _fire(
    book: TriggerBook,
    message: Recorded,
    name: str,
    trigger: Trigger,
    definition: Definition,
    compile: Compile,
) -> list[Event]:
    number = trigger.fired + 1
    variables = variables_of(message, number)
    try:
        holds = compile(definition.when).evaluate(variables)
    except InvalidExpression:
        return []  # the declaration itself is being refused
    except MissingValue:
        return []  # an event without the field that is asked for does not fulfil the condition
    except ExpressionError as error:
        return [_rejected(name, message.id, "when", str(error), "mend the condition")]
    if holds is False:
        return []
    if holds is not True:
        problem = f"the condition gave {json.dumps(holds)[:80]}, neither true nor false"
        return [_rejected(name, message.id, "when", problem, "compare with something")]
    ancestors = book.descents.get(message.id, {}).get((message.namespace, name), 0)
    if ancestors >= GENERATIONS_MAX:
        return [
            _rejected(
                name,
                message.id,
                "on",
                f"the trigger feeds itself: {ancestors} of its own firings led to this "
                f"{message.type}",
                "narrow `when`, or wait for another event type",
            )
        ]
    try:
        data = render(dict(definition.do_data), "do.data", variables, compile)
        produced = decode(definition.do_type, event_class(definition.do_type).version, _json(data))
    except InvalidTemplate as error:
        if isinstance(error.__cause__, InvalidExpression):
            return []  # the declaration itself is being refused
        return [_rejected(name, message.id, error.path, error.problem, f"mend {error.path}")]
    except InvalidEvent as error:
        at, problem = error.fields[0] if error.fields else ("", str(error))
        place = f"do.data.{at}" if at else "do.data"
        return [_rejected(name, message.id, place, f"{definition.do_type}: {problem}", f"mend {place}")]
    except (UnknownType, ValueError) as error:
        return [_rejected(name, message.id, "do.data", str(error), "mend the template")]
    fired = TriggerFired(
        trigger=name,
        number=number,
        cause=message.id,
        cause_type=message.type,
        produced_type=produced.type,
        produced_id=produced.id,
    )
    return [fired, produced]


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


Fault = tuple[str, str, str]
"""Field, what is wrong, what to do."""


def _fault(
    book: TriggerBook, namespace: str, event: TriggerRequested, compile: Compile
) -> Fault | None:
    """Why the declaration can never work, None where it may."""
    return next(iter(_faults(book, namespace, event, compile)), None)


def _faults(
    book: TriggerBook, namespace: str, event: TriggerRequested, compile: Compile
) -> Iterator[Fault]:
    try:
        cause = event_class(event.on)
    except UnknownType as error:
        yield "on", str(error), "name a type of the catalogue, e.g. features.materialized"
        return
    if cause is TriggerRejected:
        yield "on", "a trigger cannot wait for refusals of triggers", "wait for another type"
    if len(book.waiting.get((namespace, event.on), ())) > TRIGGERS_PER_TYPE_MAX:
        yield (
            "on",
            f"{TRIGGERS_PER_TYPE_MAX} triggers wait for {event.on} in this namespace already",
            "put several conditions into one trigger",
        )
    example = {"event": dict(cause.example), "meta": dict(_META), "number": 1}
    yield from _expression_faults("when", event.when, example, compile)
    try:
        wish = event_class(event.do.type)
    except UnknownType as error:
        yield "do.type", str(error), "name a type of the catalogue, e.g. job.requested"
        return
    if wish.owner != ANYONE:
        yield "do.type", f"only {wish.owner} may append {wish.type}", "ask for a wish"
    yield from _data_faults(wish, event.do.data)
    try:
        for path, text in codes(event.do.data, "do.data"):
            yield from _expression_faults(path, text, example, compile)
    except InvalidTemplate as error:
        yield error.path, error.problem, f"mend {error.path}"


def _data_faults(wish: type[Event], data: Mapping[str, Any]) -> Iterator[Fault]:
    known = wish.model_fields
    for name in data:
        if name not in known:
            yield (
                f"do.data.{name}",
                f"{wish.type} has no field {name!r}",
                f"use one of: {', '.join(known)}",
            )
    for name, contract in known.items():
        if contract.is_required() and name not in data:
            yield f"do.data.{name}", f"{wish.type} needs the field {name!r}", f"add {name}"


def _expression_faults(
    path: str, text: str, example: Mapping[str, Any], compile: Compile
) -> Iterator[Fault]:
    """What is wrong with an expression whatever the event: an event of this type that lacks a
    field or has other values is no fault of the declaration."""
    try:
        compile(text).evaluate(example)
    except InvalidExpression as error:
        yield path, str(error), "write a CEL expression over event, meta and number"
    except ExpressionError:
        return


def _rejected(name: str, request: str, at: str, reason: str, fix: str) -> TriggerRejected:
    return TriggerRejected(
        trigger=name, request=request, reason=reason[:REASON_LENGTH_MAX], field=at, fix=fix
    )


def _json(data: Any) -> str:
    return json.dumps(data, allow_nan=False)


_META = {
    "id": "0190c2a4-7b1e-7c30-8f00-000000000001",
    "type": "",
    "namespace": "default",
    "sequence": 1,
    "time": "2026-01-01T00:00:00Z",
}
