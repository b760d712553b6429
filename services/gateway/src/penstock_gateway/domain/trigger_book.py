"""The book of triggers: what the log says of each, and which events descend from firings."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from penstock_chassis.message import Recorded
from penstock_schemas import TriggerFired, TriggerRejected, TriggerRequested

DESCENDANTS_MAX = 100_000
"""Events whose descent from firings is kept; a loop's generations are close together."""

TriggerKey = tuple[str, str]
"""Namespace and name."""
Descent = Mapping[TriggerKey, int]
"""How many firings of each trigger are among an event and its ancestors."""


@dataclass(frozen=True, slots=True)
class Definition:
    """One declaration of a trigger, and the id and the sequence of the event that made it."""

    declared: TriggerRequested
    request: str
    sequence: int


@dataclass
class Trigger:
    """What is known of one trigger."""

    definitions: list[Definition] = field(default_factory=list)
    """Those that were not refused, oldest first."""
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
        _refuse(book, recorded.namespace, event)
    return book


def _declare(book: TriggerBook, recorded: Recorded, event: TriggerRequested) -> None:
    trigger = book.triggers.setdefault((recorded.namespace, event.trigger), Trigger())
    trigger.definitions.append(Definition(event, recorded.id, recorded.sequence))
    book.waiting.setdefault((recorded.namespace, event.on), {}).setdefault(event.trigger)


def _refuse(book: TriggerBook, namespace: str, event: TriggerRejected) -> None:
    trigger = book.triggers.setdefault((namespace, event.trigger), Trigger())
    trigger.refused_requests.add(event.request)
    refused = [d for d in trigger.definitions if d.request == event.request]
    if not refused:
        trigger.causes.add(event.request)  # not a declaration: one firing
        return
    trigger.definitions = [d for d in trigger.definitions if d.request != event.request]
    waits = {definition.declared.on for definition in trigger.definitions}
    for definition in refused:
        place = (namespace, definition.declared.on)
        if definition.declared.on not in waits and place in book.waiting:
            book.waiting[place].pop(event.trigger, None)


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
    return (namespace, type) in book.waiting
