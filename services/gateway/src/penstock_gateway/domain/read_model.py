"""The read model: the rows of all nouns, folded from the log.

The live one (in a store) and the one of any past moment (in memory) are made by the same `step`,
so that they cannot differ.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from penstock_chassis.message import Recorded
from penstock_gateway.domain.view import Row, View

ALL = "-"
"""Stands for all namespaces, in reads."""
Key = tuple[str, str]
"""Namespace and id."""


class RowKey(NamedTuple):
    """Which row of all."""

    noun: str
    namespace: str
    id: str


@dataclass
class ReadModel:
    """Rows in memory, and up to where the log is in them. Rows are never changed in place."""

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

    def row(self, key: RowKey) -> Row | None:
        """One row."""
        return self.rows.get(key.noun, {}).get((key.namespace, key.id))

    def put(self, key: RowKey, row: Row) -> None:
        """Place a row; one that is new is the youngest."""
        self.rows.setdefault(key.noun, {})[key.namespace, key.id] = row

    def find(self, namespace: str, noun: str, id: str) -> Row | None:
        """A row; in all namespaces (`-`) the newest of that id."""
        rows = self.rows.get(noun, {})
        if namespace != ALL:
            return rows.get((namespace, id))
        found = [row for (_, key), row in rows.items() if key == id]
        return found[-1] if found else None

    def newest_first(self, namespace: str, noun: str) -> Iterator[Row]:
        """The rows of a noun in a namespace (`-`: in all)."""
        for (owner, _), row in reversed(self.rows.get(noun, {}).items()):
            if namespace in (ALL, owner):
                yield row


class Projection:
    """How events become rows: the views of all nouns, found by event type.

    `version` names what the views say: rows made by another version are made anew.
    """

    def __init__(self, views: Mapping[str, View], version: str = "") -> None:
        self.views = views
        self.version = version
        types = {event.type for view in views.values() for event in view.events}
        self._by_type = {
            type: tuple(v for v in views.values() if any(e.type == type for e in v.events))
            for type in types
        }

    def keys(self, recorded: Recorded) -> Iterator[RowKey]:
        """The rows that an event may change or make."""
        for view in self._by_type.get(recorded.type, ()):
            id = view.row_id(recorded)
            if id is not None:
                yield RowKey(view.noun, recorded.namespace, id)

    def step(
        self, find: Callable[[RowKey], Row | None], recorded: Recorded
    ) -> Iterator[tuple[RowKey, Row]]:
        """The rows that an event makes or changes, as they are after it."""
        for key in self.keys(recorded):
            before = find(key)
            after = self.views[key.noun].evolve_row(before, recorded)
            if after is not None and after is not before:
                yield key, after

    def evolve(self, model: ReadModel, recorded: Recorded) -> ReadModel:
        """The read model after an event; changes it in place."""
        for key, row in self.step(model.row, recorded):
            model.put(key, row)
        model.position = recorded.sequence
        model.time = recorded.time
        return model
