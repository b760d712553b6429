"""What a trigger fires for: the events that it gathered, or a planned time."""

from dataclasses import dataclass, replace
from datetime import datetime

from penstock_chassis.message import Recorded
from penstock_gateway.domain.view import utc_text
from penstock_schemas import TriggerFireRequested, TriggerRequested
from penstock_schemas.nouns.trigger import CAUSES_LISTED_MAX

MANUAL = TriggerFireRequested.type
"""The type of the events that make a trigger fire by hand."""
Fault = tuple[str, str, str]
"""Field, what is wrong, what to do."""


@dataclass(frozen=True, slots=True)
class Member:
    """One event that a firing is for; its payload stays in the log."""

    sequence: int
    id: str
    type: str
    correlation_id: str


def member_of(recorded: Recorded) -> Member:
    """An event as a member of a firing."""
    return Member(recorded.sequence, recorded.id, recorded.type, recorded.correlation_id)


@dataclass(frozen=True, slots=True)
class Firing:
    """One firing, made or still to come."""

    due: datetime
    """When, by the times of the log."""
    members: tuple[Member, ...] = ()
    """The newest `CAUSES_LISTED_MAX`, oldest first; none for a planned time."""
    count: int = 1
    """Events, or planned times, in all."""
    planned: datetime | None = None
    """The latest planned time that it stands for."""

    @property
    def through(self) -> int:
        """The sequence of its last event, 0 where it has none."""
        return self.members[-1].sequence if self.members else 0

    @property
    def key(self) -> str:
        """Tells it from every other firing of its trigger."""
        return f"{self.through}@{utc_text(self.planned) if self.planned else ''}"

    @property
    def by_hand(self) -> bool:
        """Whether somebody asked for just this."""
        return bool(self.members) and self.members[-1].type == MANUAL

    def joined(self, later: "Firing") -> "Firing":
        """One firing for both, due when the later one is."""
        return Firing(
            later.due,
            (*self.members, *later.members)[-CAUSES_LISTED_MAX:],
            self.count + later.count,
            later.planned or self.planned,
        )

    def at(self, due: datetime) -> "Firing":
        """The same, due at another time."""
        return replace(self, due=due)

    def without(self, through: int) -> "Firing | None":
        """What is left of it where everything up to a sequence has fired already."""
        left = tuple(member for member in self.members if member.sequence > through)
        if not left:
            return None
        return replace(self, members=left, count=self.count - (len(self.members) - len(left)))


@dataclass(frozen=True, slots=True)
class Owed:
    """Something that a trigger is to say and that does not stand in the log yet."""

    firing: Firing
    kind: str = "fire"
    """`fire`, `refuse`, or the kind of a `trigger.skipped`."""
    reason: str = ""
    fault: Fault | None = None
    """Of a refusal."""
    declared: TriggerRequested | None = None
    """The definition that stood when it was decided."""
