"""Which events descend from firings: how loops of triggers are found.

A loop is followed through the causation of every event, whoever said it: a trigger asks for a
job, the scheduler places it, the trainer ends it, the trigger asks for the next.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer

from penstock_schemas import Aggregate

DESCENDANTS_MAX = 100_000
"""Events whose descent from firings is kept; a loop's generations are close together."""
GENERATIONS_MAX = 8
"""Firings of one trigger that may be ancestors of an event that it fires for."""
STORY_FIRINGS_MAX = 100
"""Firings of one trigger in one story for what came, over others or not, of its own firings:
where several triggers feed one another, chains of `GENERATIONS_MAX` would multiply."""
STORIES_MAX = 1000
"""Stories in which firings led to firings; the oldest are forgotten."""


def _split(value: object) -> object:
    return tuple(value.split(SEPARATOR, 1)) if isinstance(value, str) else value


SEPARATOR = "/"
"""Stands in no namespace."""
Pair = Annotated[
    tuple[str, str], BeforeValidator(_split), PlainSerializer(SEPARATOR.join, return_type=str)
]
"""A namespace and something in it; written as one text, so that it can be a key in JSON."""
TriggerKey = Pair
"""Namespace and name."""
Descent = Mapping[TriggerKey, int]
"""How many firings of each trigger are among an event and its ancestors."""
NONE: Descent = {}


@dataclass
class Story:
    """Which triggers led to which in one story."""

    led: set[tuple[TriggerKey, TriggerKey]] = field(default_factory=set)
    """A firing of the first was an ancestor of one of the second."""
    fed: dict[TriggerKey, int] = field(default_factory=dict)
    """Firings for what came of firings that came of the trigger's own."""

    def circular(self, key: TriggerKey, descent: Descent) -> bool:
        """Whether a firing of `key` for an event of this descent closes a circle."""
        return key in descent or any((key, other) in self.led for other in descent)


@dataclass
class Descents:
    """The descent of events that have one. Bounded; the oldest are forgotten."""

    by_event: dict[str, Descent] = field(default_factory=dict)
    """By event id; by cause and aggregate for what a firing asked for until it is seen, since
    that has the same cause as the firing itself."""
    stories: dict[str, Story] = field(default_factory=dict)
    """By correlation id, where firings led to firings."""

    def of(self, id: str) -> Descent:
        """The descent of an event."""
        return self.by_event.get(id, NONE)

    def follows(self, causation_id: str | None) -> bool:
        """Whether an event with this cause may have a descent."""
        return causation_id is not None and causation_id in self.by_event

    def see(self, id: str, causation_id: str, aggregate: Aggregate) -> None:
        """An event came whose cause may have a descent."""
        produced = self.by_event.pop(_produced_key(causation_id, aggregate), None)
        descent = produced or self.of(causation_id)
        if descent:
            self._keep(id, descent)

    def fire(
        self, key: TriggerKey, id: str, story: str, causes: Iterable[str], produced: Aggregate
    ) -> None:
        """A trigger fired, by the event `id`, for `causes` (the last is what it names as its
        cause)."""
        causes = tuple(causes)
        grown = dict(self.merged(causes))
        if grown:
            known = self.stories[story] = self.stories.pop(story, Story())
            _trim(self.stories, STORIES_MAX)
            if known.circular(key, grown):
                known.fed[key] = known.fed.get(key, 0) + 1
            known.led.update((other, key) for other in grown if other != key)
        grown[key] = grown.get(key, 0) + 1
        self._keep(id, grown)
        self._keep(_produced_key(causes[-1], produced), grown)
        # What has the same cause is looked at only where that cause is known here.
        self.by_event.setdefault(causes[-1], NONE)

    def merged(self, causes: Iterable[str]) -> Descent:
        """The descent of what several events cause together: of each trigger the longest."""
        found: dict[TriggerKey, int] = {}
        for cause in causes:
            for key, count in self.of(cause).items():
                found[key] = max(count, found.get(key, 0))
        return found

    def loop(self, key: TriggerKey, story: str, causes: Iterable[str]) -> str:
        """Why the trigger must not fire for these events, empty where it may."""
        descent = self.merged(causes)
        generations = descent.get(key, 0)
        if generations >= GENERATIONS_MAX:
            return f"the trigger feeds itself: {generations} of its own firings led to this event"
        known = self.stories.get(story) if descent else None
        if known is None or not known.circular(key, descent):
            return ""
        if known.fed.get(key, 0) >= STORY_FIRINGS_MAX:
            return (
                f"the trigger feeds itself: in this story it fired {STORY_FIRINGS_MAX} times for "
                "what came of its own firings"
            )
        return ""

    def _keep(self, id: str, descent: Descent) -> None:
        self.by_event[id] = descent
        _trim(self.by_event, DESCENDANTS_MAX)


def _trim(found: dict, most: int) -> None:  # type: ignore[type-arg]
    while len(found) > most:
        del found[next(iter(found))]


def _produced_key(cause: str, aggregate: Aggregate) -> str:
    return f"{cause} {aggregate}"
