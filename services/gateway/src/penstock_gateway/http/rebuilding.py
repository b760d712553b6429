"""Rebuilding: the rows made once more from the whole log, beside the live ones, and compared.

The live rows are shown and kept up to date meanwhile; only for the last step, the comparison at
one position, do they stand still. What was rebuilt is shown afterwards.
"""

import asyncio
import time
from collections import OrderedDict
from contextlib import aclosing
from dataclasses import dataclass

import structlog

from penstock_gateway.domain.projected import Comparison, Standing
from penstock_gateway.domain.read_model import RowKey
from penstock_gateway.domain.view import Row
from penstock_gateway.errors import Superseded
from penstock_gateway.supervisor.batches import BATCH_EVENTS_MAX, batches
from penstock_gateway.supervisor.projector import CACHE_ROWS_MAX, Projector

LAG_EVENTS_MAX = BATCH_EVENTS_MAX
"""The live rows stand still once the rebuilt are as near as this."""
TRIES_MAX = 20

log = structlog.get_logger("penstock.gateway")


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What came of it."""

    comparison: Comparison
    seconds: float


class Rebuilding:
    """Rebuilds, one at a time."""

    def __init__(self, projector: Projector) -> None:
        self._projector = projector
        self._one = asyncio.Lock()

    @property
    def running(self) -> bool:
        """Whether one is under way."""
        return self._one.locked()

    async def rebuild(self) -> Rebuilt:
        """Rebuild, compare, replace. Raises `Superseded` where another process replaced the rows
        meanwhile."""
        async with self._one:
            started = time.monotonic()
            projector = self._projector
            await projector.shown()
            rebuilt = await projector.store.begin(projector.projection.version)
            while projector.standing.position - rebuilt.position > LAG_EVENTS_MAX:
                rebuilt = await self._fold(rebuilt, projector.standing.position)
            comparison = await self._finish(rebuilt)
            seconds = time.monotonic() - started
            log.info("rows rebuilt", equal=comparison.equal, rows=comparison.rows, seconds=seconds)
            return Rebuilt(comparison, seconds)

    async def _finish(self, rebuilt: Standing) -> Comparison:
        projector, store = self._projector, self._projector.store
        for _ in range(TRIES_MAX):
            async with projector.turn:
                # 1. Nobody in this process moves the live rows now; bring ours to where they are.
                live = await store.live()
                assert live is not None, "the live rows are replaced, never removed"
                rebuilt = await self._fold(rebuilt, live.position)
                # 2. Compare and replace, unless another process moved them after all.
                try:
                    comparison = await store.replace(live, rebuilt)
                except Superseded:
                    if (await store.live() or live).generation != live.generation:
                        raise
                    continue
                projector.adopt(rebuilt)
                return comparison
        raise Superseded(f"other processes moved the rows {TRIES_MAX} times")

    async def _fold(self, standing: Standing, until: int) -> Standing:
        projector = self._projector
        rows: OrderedDict[RowKey, Row] = OrderedDict()
        parts = batches(projector.log, projector.filters, standing.position, lambda: until)
        async with aclosing(parts) as following:
            async for part in following:
                batch = await projector.fold(standing, part, rows)
                standing = await projector.store.commit(standing, batch)
                while len(rows) > CACHE_ROWS_MAX:
                    rows.popitem(last=False)
        return standing
