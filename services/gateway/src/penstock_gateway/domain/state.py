"""What the gateway's fold of the whole log keeps: nothing of its own.

It feeds the rows that are shown; the triggers have a fold of their own (`handlers.triggers`),
which judges each event in its turn.
"""

from dataclasses import dataclass

from penstock_chassis.message import Recorded
from penstock_schemas import event_types

NOUNS = frozenset(event.noun() for event in event_types().values())
"""Every noun of the catalogue: each has rows."""


@dataclass
class State:
    """Nothing."""


def evolve(state: State, recorded: Recorded) -> State:
    """The state after an event."""
    return state
