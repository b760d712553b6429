"""Time travel: the read model as it was.

The log is folded again up to the moment, by the projection that the live read model is made
with, from the newest snapshot before it. Bounded: one fold at a time, `FOLD_SECONDS_MAX` each,
`SNAPSHOTS_MAX` snapshots (references to rows, which are never changed in place).
"""

import asyncio
from datetime import datetime

from penstock_chassis.message import read_recorded
from penstock_chassis.ports import EventLog
from penstock_gateway.domain.read_model import Projection, ReadModel
from penstock_gateway.errors import HistoryTooLong
from penstock_schemas import SchemaError

FOLD_SECONDS_MAX = 30.0
SNAPSHOTS_MAX = 8
SNAPSHOT_EVENTS = 20_000
"""A long fold leaves a snapshot behind after so many events."""
PAGE_EVENTS = 500
EVERYTHING = "penstock.>"


class History:
    """Read models of past moments, in memory."""

    def __init__(self, log: EventLog, projection: Projection) -> None:
        self._log = log
        self._projection = projection
        self._snapshots: list[ReadModel] = []
        """The one used last at the end."""
        self._turn = asyncio.Lock()

    async def at(self, moment: datetime) -> ReadModel:
        """Everything stored at or before a moment, folded; not to be changed.

        Raises `HistoryTooLong` where that takes too long; asking again goes on from there.
        """
        async with self._turn:
            model = self._nearest(moment)
            try:
                async with asyncio.timeout(FOLD_SECONDS_MAX):
                    await self._fold_up_to(model, moment)
            except TimeoutError:
                raise HistoryTooLong(
                    f"the log up to {moment.isoformat()} took longer than "
                    f"{FOLD_SECONDS_MAX:.0f} s to fold; ask again, it goes on from where it was"
                ) from None
            finally:
                self._keep(model)
            return model

    def _nearest(self, moment: datetime) -> ReadModel:
        """A copy of the newest snapshot that is not after the moment."""
        fitting = [s for s in self._snapshots if s.time is not None and s.time <= moment]
        if not fitting:
            return ReadModel()
        best = max(fitting, key=lambda snapshot: snapshot.position)
        self._snapshots.remove(best)
        self._snapshots.append(best)
        return best.snapshot()

    async def _fold_up_to(self, model: ReadModel, moment: datetime) -> None:
        """Fold until the first message after the moment, page by page."""
        position, count = model.position, 0
        while page := await self._log.read(EVERYTHING, after=position, limit=PAGE_EVENTS):
            for stored in page:
                if stored.time > moment:
                    return
                position = stored.sequence
                try:
                    self._projection.evolve(model, read_recorded(stored))
                except SchemaError:
                    continue  # as the live fold does
                count += 1
                if count % SNAPSHOT_EVENTS == 0:
                    self._keep(model.snapshot())
            await asyncio.sleep(0)  # others get their turn

    def _keep(self, model: ReadModel) -> None:
        if model.time is not None and all(s.position != model.position for s in self._snapshots):
            self._snapshots.append(model)
            del self._snapshots[:-SNAPSHOTS_MAX]
