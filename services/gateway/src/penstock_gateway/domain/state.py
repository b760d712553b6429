"""Everything that the gateway keeps folded in memory: what decides. What shows is in a store."""

from dataclasses import dataclass, field

from penstock_chassis.message import Recorded
from penstock_gateway.domain import trigger_book
from penstock_gateway.domain.trigger_book import TriggerBook
from penstock_schemas import event_types

NOUNS = frozenset(event.noun() for event in event_types().values())
"""Every noun of the catalogue: a trigger may wait for and ask for any of them."""


@dataclass
class State:
    """The triggers."""

    triggers: TriggerBook = field(default_factory=TriggerBook)


def evolve(state: State, recorded: Recorded) -> State:
    """The state after an event; changes it in place."""
    trigger_book.evolve(state.triggers, recorded)
    return state
