"""The read model: the rows of all nouns, folded from the log.

The live one and the one of any past moment are made by the same `evolve`, so that they cannot
differ.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from penstock_chassis.message import Recorded
from penstock_gateway.domain.view import Row, View

Key = tuple[str, str]
"""Namespace and id."""


@dataclass
class ReadModel:
    """All rows, and up to where the log is in them. Rows are never changed in place."""

    rows: dict[str, dict[Key, Row]] = field(default_factory=dict)
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
        rows = self.rows.get(noun, {})
        if namespace != "-":
            return rows.get((namespace, id))
        found = [row for (_, key), row in rows.items() if key == id]
        return found[-1] if found else None

    def newest_first(self, namespace: str, noun: str) -> Iterator[Row]:
        """The rows of a noun in a namespace (`-`: in all)."""
        for (owner, _), row in reversed(self.rows.get(noun, {}).items()):
            if namespace in ("-", owner):
                yield row


class Projection:
    """How events become rows: the views of all nouns, found by event type."""

    def __init__(self, views: Mapping[str, View]) -> None:
        self.views = views
        types = {event.type for view in views.values() for event in view.events}
        self._by_type = {
            type: tuple(v for v in views.values() if any(e.type == type for e in v.events))
            for type in types
        }

    def evolve(self, model: ReadModel, recorded: Recorded) -> ReadModel:
        """The read model after an event; changes it in place."""
        for view in self._by_type.get(recorded.type, ()):
            id = view.row_id(recorded)
            if id is None:
                continue
            rows = model.rows.setdefault(view.noun, {})
            key = (recorded.namespace, id)
            before = rows.get(key)
            after = view.evolve_row(before, recorded)
            if after is not None and after is not before:
                rows[key] = after
        model.position = recorded.sequence
        model.time = recorded.time
        return model
