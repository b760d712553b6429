"""What is declared of a thing: its last declarative wish that was neither refused nor withdrawn.
Pure."""

from collections.abc import Iterable
from typing import NamedTuple

from penstock_chassis.message import Recorded
from penstock_gateway.domain.view import refusal_text
from penstock_schemas import Event, event_types


class Declared(NamedTuple):
    """The wish that stands, and the event that says it."""

    event: Event
    id: str
    sequence: int


class Standing(NamedTuple):
    """What is declared, and what became of the newest wish."""

    declared: Declared | None
    """None where nothing is."""
    refusal: str = ""
    """Why the newest wish was refused, and what to do; empty where it was not."""


def verbs_of(kind: type[Event]) -> frozenset[str]:
    """The verbs of a kind's events that say, end or refuse a declaration."""
    own = [cls for cls in event_types().values() if cls.noun() == kind.noun()]
    types = [cls.type for cls in own if cls.declarative or cls.withdraws]
    return frozenset({type.partition(".")[2] for type in types} | {"rejected"})


def standing(recorded: Iterable[Recorded]) -> Standing:
    """What stands after these events of one thing.

    A wish counts from the moment that it is in the log until it is refused; then what stood
    before it stands again. Nothing stands of what was removed until it is declared anew.
    """
    wishes: list[Recorded] = []
    refusals: dict[str, str] = {}
    for one in recorded:
        if one.event.declarative or one.event.withdraws:
            wishes.append(one)
        elif one.type.endswith(".rejected"):
            refusals[str(getattr(one.event, "request", ""))] = refusal_text(one.event)
    refusal = refusals.get(wishes[-1].id, "") if wishes else ""
    granted = [wish for wish in wishes if wish.id not in refusals]
    if not granted or granted[-1].event.withdraws:
        return Standing(None, refusal)
    last = granted[-1]
    return Standing(Declared(last.event, last.id, last.sequence), refusal)
