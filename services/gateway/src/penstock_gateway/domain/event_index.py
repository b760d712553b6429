"""Where events stand: by id, and by the story (correlation) that they belong to.

Bounded: beyond `EVENTS_INDEXED_MAX` the oldest are forgotten, and `complete` says so; the log
still has them.
"""

from collections import deque
from dataclasses import dataclass, field

from penstock_chassis.message import Recorded

EVENTS_INDEXED_MAX = 100_000


@dataclass
class EventIndex:
    """Sequences by event id and by correlation id."""

    limit: int = EVENTS_INDEXED_MAX
    by_id: dict[str, int] = field(default_factory=dict)
    stories: dict[str, list[int]] = field(default_factory=dict)
    order: deque[tuple[str, str, int]] = field(default_factory=deque)
    complete: bool = True

    def sequence_of(self, event_id: str) -> int | None:
        """The sequence of an event, None where it is not known (any more)."""
        return self.by_id.get(event_id)

    def story(self, correlation_id: str) -> list[int]:
        """The sequences of a story, in order."""
        return list(self.stories.get(correlation_id, ()))


def evolve(index: EventIndex, recorded: Recorded) -> EventIndex:
    """The index after an event; changes it in place."""
    index.by_id.setdefault(recorded.id, recorded.sequence)
    index.stories.setdefault(recorded.correlation_id, []).append(recorded.sequence)
    index.order.append((recorded.id, recorded.correlation_id, recorded.sequence))
    if len(index.order) > index.limit:
        index.complete = False
        id, correlation, sequence = index.order.popleft()
        if index.by_id.get(id) == sequence:
            del index.by_id[id]
        story = index.stories[correlation]
        del story[0]  # stories hold sequences in the log's order, as `order` does
        if not story:
            del index.stories[correlation]
    return index
