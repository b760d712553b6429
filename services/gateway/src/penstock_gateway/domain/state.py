"""Everything that the gateway folds from the log, in one value."""

from dataclasses import dataclass, field

from penstock_chassis.message import Recorded
from penstock_gateway.domain import event_index, trigger_book
from penstock_gateway.domain.event_index import EventIndex
from penstock_gateway.domain.read_model import Projection, ReadModel
from penstock_gateway.domain.trigger_book import TriggerBook
from penstock_schemas import event_types

NOUNS = frozenset(event.noun() for event in event_types().values())
"""Every noun of the catalogue: a trigger may wait for and ask for any of them."""


@dataclass
class State:
    """The rows of all nouns, the triggers, and where events stand."""

    rows: ReadModel = field(default_factory=ReadModel)
    triggers: TriggerBook = field(default_factory=TriggerBook)
    index: EventIndex = field(default_factory=EventIndex)


def evolve(projection: Projection, state: State, recorded: Recorded) -> State:
    """The state after an event; changes it in place."""
    projection.evolve(state.rows, recorded)
    trigger_book.evolve(state.triggers, recorded)
    event_index.evolve(state.index, recorded)
    return state
