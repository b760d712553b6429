"""What is declared of a thing: its last declarative wish that was not refused. Pure."""

from collections.abc import Iterable
from typing import NamedTuple

from penstock_chassis.message import Recorded
from penstock_schemas import Event

DELETED = "deleted"
VERBS = ("requested", "rejected", DELETED)
"""Verbs of all events that say what is declared of a thing."""


class Declared(NamedTuple):
    """The wish that stands, and the event that says it."""

    event: Event
    id: str
    sequence: int


def declared(recorded: Iterable[Recorded]) -> Declared | None:
    """What stands after these events of one thing; None where nothing does.

    A wish counts from the moment that it is in the log until it is refused; then what stood
    before it stands again. Nothing stands of what was deleted until it is declared anew.
    """
    wishes: list[Declared] = []
    refused: set[str] = set()
    for one in recorded:
        if one.event.declarative:
            wishes.append(Declared(one.event, one.id, one.sequence))
        elif one.type.endswith(".rejected"):
            refused.add(str(getattr(one.event, "request", "")))
        elif one.type.partition(".")[2] == DELETED:
            wishes.clear()
    standing = [wish for wish in wishes if wish.id not in refused]
    return standing[-1] if standing else None
