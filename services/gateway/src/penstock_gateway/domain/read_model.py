"""The read model: the rows of all nouns, folded from the log.

The live one and the one of any past moment are made by the same `evolve`, so that they cannot
differ.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from penstock_chassis.message import Recorded
from penstock_gateway.nouns import VIEWS, Row, View

Key = tuple[str, str]
"""Namespace and id."""

VIEWS_BY_TYPE: Mapping[str, tuple[View, ...]] = {
    type: tuple(view for view in VIEWS.values() if any(e.type == type for e in view.events))
    for type in sorted({event.type for view in VIEWS.values() for event in view.events})
}


@dataclass
class ReadModel:
    """All rows, and up to where the log is in them. Rows are never changed in place."""

    rows: dict[str, dict[Key, Row]] = field(default_factory=lambda: {noun: {} for noun in VIEWS})
    """By noun, in the order of their birth."""
    position: int = 0
    """The sequence of the last event in it."""
    time: datetime | None = None
    """When that event was stored."""

    def snapshot(self) -> "ReadModel":
        """A copy that further events do not reach."""
        rows = {noun: dict(rows) for noun, rows in self.rows.items()}
        return ReadModel(rows, self.position, self.time)

    def find(self, namespace: str, noun: str, id: str) -> Row | None:
        """A row; in all namespaces (`-`) the newest of that id."""
        if namespace != "-":
            return self.rows[noun].get((namespace, id))
        found = [row for (_, key), row in self.rows[noun].items() if key == id]
        return found[-1] if found else None

    def newest_first(self, namespace: str, noun: str) -> Iterator[Row]:
        """The rows of a noun in a namespace (`-`: in all)."""
        for (owner, _), row in reversed(self.rows[noun].items()):
            if namespace in ("-", owner):
                yield row


def evolve(model: ReadModel, recorded: Recorded) -> ReadModel:
    """The read model after an event; changes it in place."""
    for view in VIEWS_BY_TYPE.get(recorded.type, ()):
        id = view.row_id(recorded)
        if id is None:
            continue
        rows = model.rows[view.noun]
        key = (recorded.namespace, id)
        before = rows.get(key)
        after = view.evolve_row(before, recorded)
        if after is not None and after is not before:
            rows[key] = after
    model.position = recorded.sequence
    model.time = recorded.time
    return model
