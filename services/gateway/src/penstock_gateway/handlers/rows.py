"""Rows as of an event: what a thing was just after it, for the conditions of triggers.

Folded from the thing's own events up to that one, by the view that the read model is made with,
so that the same event finds the same row live, after a crash and in a backtest. What events of
other nouns add to a row (the best trial of an experiment) is not in it.
"""

from collections.abc import Mapping

from penstock_chassis.message import Recorded, read_recorded
from penstock_chassis.ports import EventLog
from penstock_gateway.domain.view import Row, View
from penstock_schemas import Aggregate, SchemaError

ROW_EVENTS_MAX = 5000
"""Events of one thing that are folded for one row; the row of a longer life lacks its end."""


class RowsAsOf:
    """Reads rows as of events. The one used last is kept: several triggers ask for it."""

    def __init__(self, log: EventLog, views: Mapping[str, View]) -> None:
        self._log = log
        self._views = views
        self._last: tuple[int, Row | None] = (0, None)

    async def of(self, recorded: Recorded) -> Row | None:
        """The row of what an event is about, just after it; raises `Unavailable`."""
        view = self._views.get(recorded.event.noun())
        if view is None:
            return None
        if self._last[0] != recorded.sequence:
            self._last = (recorded.sequence, await self._fold(view, recorded))
        return self._last[1]

    async def _fold(self, view: View, recorded: Recorded) -> Row | None:
        row: Row | None = None
        for stored in await self._log.read(recorded.aggregate.filter, limit=ROW_EVENTS_MAX):
            if stored.sequence > recorded.sequence:
                break
            try:
                row = view.evolve_row(row, read_recorded(stored))
            except SchemaError:
                continue  # as every fold does
        return row


class FoldedRows(RowsAsOf):
    """Rows as of events of a stretch that is read whole: kept as its events pass by, so that most
    need no reading. `see` must be given every event of the nouns that are asked for."""

    def __init__(self, log: EventLog, views: Mapping[str, View]) -> None:
        super().__init__(log, views)
        self._rows: dict[Aggregate, tuple[int, Row | None]] = {}

    def see(self, recorded: Recorded) -> None:
        """Take the next event."""
        view = self._views.get(recorded.event.noun())
        if view is not None:
            _, row = self._rows.get(recorded.aggregate, (0, None))
            self._rows[recorded.aggregate] = (recorded.sequence, view.evolve_row(row, recorded))

    async def of(self, recorded: Recorded) -> Row | None:
        """See `RowsAsOf.of`; one that has changed since is read."""
        sequence, row = self._rows.get(recorded.aggregate, (0, None))
        return row if sequence == recorded.sequence else await super().of(recorded)
