"""The book of triggers: all that is known of them at one place of the log (`trigger_folding`).

Memory: per trigger its definition and its timing (bounded there), per type the names that wait
for it, and the descents (bounded there). What is owed grows with how far the gateway is behind.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from penstock_gateway.domain.descent import Descents, Pair, TriggerKey
from penstock_gateway.domain.endings import ENDING_TYPES
from penstock_gateway.domain.firing import Owed
from penstock_gateway.domain.timing import Timing, deadline
from penstock_schemas import TriggerRequested, event_types

NOUN = TriggerRequested.noun()


@dataclass
class Trigger:
    """What is known of one trigger."""

    declared: TriggerRequested | None = None
    """The definition that stands."""
    request: str = ""
    """The id of the event that declared it."""
    correlation_id: str = ""
    sequence: int = 0
    """Of the event that declared it."""
    paused: bool = False
    number: int = 0
    """Firings so far."""
    head: int = 0
    """The sequence of the last message about it, readable or not."""
    timing: Timing = field(default_factory=Timing)
    next_planned: datetime | None = None
    """Of a cron trigger that is not paused."""

    @property
    def upcoming(self) -> int:
        """The number of the firing that would come next."""
        return self.number + 1 + sum(owed.kind == "fire" for owed in self.timing.owed)

    def deadline(self) -> datetime | None:
        """When time alone changes something."""
        if self.declared is None:
            return None
        found = deadline(self.timing, self.declared)
        if self.next_planned is None:
            return found
        return self.next_planned if found is None else min(found, self.next_planned)


@dataclass
class TriggerBook:
    """All triggers, and what is needed to find those that an event concerns."""

    triggers: dict[TriggerKey, Trigger] = field(default_factory=dict)
    waiting: dict[Pair, dict[str, None]] = field(default_factory=dict)
    """By namespace and event type: names of triggers that wait for it."""
    runs: dict[Pair, dict[str, None]] = field(default_factory=dict)
    """By namespace and `<noun>/<id>`: names of triggers that wait for its end."""
    descents: Descents = field(default_factory=Descents)
    owing: dict[TriggerKey, None] = field(default_factory=dict)
    """Triggers that owe something."""
    position: int = 0
    time: datetime | None = None
    """The latest time that the log has said."""
    timers: list[tuple[datetime, TriggerKey]] = field(default_factory=list)
    """A heap of deadlines; one that is not its trigger's any more is passed over."""

    def wanted(self, namespace: str, type: str) -> tuple[str, ...]:
        """The triggers that judge an event of this type, by name."""
        names = self.waiting.get((namespace, type))
        if not names:
            return ()
        return tuple(n for n in sorted(names) if not self.triggers[namespace, n].paused)

    def reads(self, namespace: str, type: str) -> bool:
        """Whether an event of this type must be decoded for `step`."""
        return (
            (namespace, type) in self.waiting
            or type.partition(".")[0] == NOUN
            or (type in ENDING_TYPES and bool(self.runs))
        )

    def next_deadline(self) -> datetime | None:
        """When time alone changes something next."""
        while self.timers:
            due, key = self.timers[0]
            if self.triggers[key].deadline() == due:
                return due
            heapq.heappop(self.timers)
        return None

    def forget_run(self, key: TriggerKey, run: str) -> None:
        """A trigger waits for the end of this no more."""
        names = self.runs.get((key[0], run), {})
        names.pop(key[1], None)
        if not names:
            self.runs.pop((key[0], run), None)

    def owed(self) -> Iterator[tuple[TriggerKey, list[Owed]]]:
        """What is to be said, oldest first for each trigger."""
        for key in tuple(self.owing):
            yield key, self.triggers[key].timing.owed


def awaited(declared: TriggerRequested) -> tuple[str, ...]:
    """The types of the catalogue that a declaration waits for; `*` for a noun leaves triggers
    out."""
    patterns = (declared.on,) if isinstance(declared.on, str) else declared.on
    found: dict[str, None] = {}
    for pattern in patterns:
        noun, _, verb = pattern.partition(".")
        for type in event_types():
            own, _, happened = type.partition(".")
            if (noun == own or (noun == "*" and own != NOUN)) and verb in ("*", happened):
                found[type] = None
    return tuple(found)
