"""A trigger over a recorded stretch of the log: the same rules, with the log's times as the clock.

Only what the trigger waits for is read: the server leaves the rest out. What its firings ask for
never runs, so `concurrency` goes by a length that the caller assumes; loops are not followed.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, cast

from penstock_chassis.message import Recorded, read_recorded
from penstock_chassis.ports import EventLog, StoredMessage
from penstock_gateway.domain.expressions import Compile
from penstock_gateway.domain.judging import ROW
from penstock_gateway.domain.trial import RUN_SECONDS_DEFAULT, Difference
from penstock_gateway.domain.trigger_book import TriggerBook, awaited
from penstock_gateway.domain.trigger_checks import fault_of
from penstock_gateway.domain.trigger_folding import Folding
from penstock_gateway.domain.triggers import asks_for, say
from penstock_gateway.domain.view import View, utc_text
from penstock_gateway.errors import GatewayError, HistoryTooLong, InvalidTrigger
from penstock_gateway.handlers.judging import Judging
from penstock_gateway.handlers.rows import FoldedRows, RowsAsOf
from penstock_gateway.handlers.sifting import Sieve
from penstock_schemas import Aggregate, SchemaError, TriggerFired, TriggerRequested, filter_of

BACKTEST_SECONDS_MAX = 300.0
FILTERS_MAX = 32
"""Subject filters of one reader; a trigger that waits for more types reads its namespace."""
TURN_EVENTS = 256
"""After so many events others get their turn."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the log, by time: from `since` (None: its beginning) to `until`."""

    since: datetime | None
    until: datetime


class Backtest:
    """Runs one declaration over stretches of the log."""

    def __init__(
        self,
        log: EventLog,
        views: Mapping[str, View],
        compile: Compile,
        namespace: str,
        declared: TriggerRequested,
        run_seconds: float = RUN_SECONDS_DEFAULT,
    ) -> None:
        self._log = log
        self._namespace = namespace
        self._declared = _assumed(declared, run_seconds)
        self._compile = compile
        self._book = TriggerBook()
        self._folding = Folding(self._book, partial(fault_of, compile=compile), compile)
        self._rows = FoldedRows(log, views) if self._asks_for_rows() else None
        self._judging = Judging(self._folding, compile, self._rows or RowsAsOf(log, views), log)
        self._types = frozenset(awaited(declared))
        self._sieve = Sieve(self._declared, compile)
        self._own_ending = f".{TriggerFired.type}.{declared.trigger}"
        self._difference = Difference()
        self._said = 0

    async def run(self, stretch: Stretch) -> dict[str, Any]:
        """What it would have fired, and the difference to what did happen.

        Raises `InvalidTrigger` for a declaration that could never work, `HistoryTooLong` where
        the stretch takes longer than `BACKTEST_SECONDS_MAX`, and `Unavailable`.
        """
        fault = fault_of(TriggerBook(), self._namespace, self._declared, self._compile)
        if fault is not None:
            raise InvalidTrigger(*fault)
        try:
            async with asyncio.timeout(BACKTEST_SECONDS_MAX):
                since, last = await self._replay(stretch)
        except TimeoutError:
            raise HistoryTooLong(
                f"the stretch took longer than {BACKTEST_SECONDS_MAX:.0f} s; take a shorter one"
            ) from None
        return {
            "trigger": self._declared.trigger,
            "since": utc_text(since),
            "until": utc_text(stretch.until),
            "position": last,
            **self._difference.answer(),
        }

    async def _replay(self, stretch: Stretch) -> tuple[datetime, int]:
        filters = self._filters()
        head = await self._log.head(filters)
        since = stretch.since or await self._beginning(stretch.until)
        self._declare(since)
        last = 0
        if head and (await self._log.get(head)).time >= since:
            # Rows are made of what came before, too.
            following = self._log.follow(filters, since=None if self._rows else since)
            async with aclosing(cast("AsyncGenerator[StoredMessage, None]", following)) as messages:
                async for stored in messages:
                    if stored.time > stretch.until:
                        break
                    last = stored.sequence
                    await self._take(stored, since)
                    if last >= head:
                        break
        await self._advance(stretch.until)
        return since, last

    async def _take(self, stored: StoredMessage, since: datetime) -> None:
        if self._rows is not None and (seen := _readable(stored)) is not None:
            self._rows.see(seen)
        _, namespace, noun, verb, _ = stored.subject.split(".", 4)
        type = f"{noun}.{verb}"
        own = type == TriggerFired.type and stored.subject.endswith(self._own_ending)
        if stored.time < since or not (type in self._types or own):
            return  # rows are made of it, no more
        if own:
            if (fired := _readable(stored)) is not None:
                self._difference.happened(fired)
            if TriggerFired.type not in self._types:
                return
        self._difference.counts["events"] += 1
        if self._difference.counts["events"] % TURN_EVENTS == 0:
            await asyncio.sleep(0)
        if self._book.timers:
            await self._advance(stored.time)
        if not self._sieve.keeps_back(stored, namespace, type):
            await self._judging.take(stored)
            await self._fire()

    async def _advance(self, time: datetime) -> None:
        """Let time pass, from deadline to deadline: each may owe something."""
        while (due := self._book.next_deadline()) is not None and due <= time:
            self._folding.advance(due)
            await self._fire()

    async def _fire(self) -> None:
        """Say what is owed, to ourselves."""
        if not self._book.owing:
            return
        key = (self._namespace, self._declared.trigger)
        trigger = self._book.triggers[key]
        while trigger.timing.owed:
            owed = trigger.timing.owed[0]
            material = await self._judging.material(owed)
            said = say(self._book, key, owed, material, self._compile)
            self._difference.say(said)
            self._said += 1
            if self._said % TURN_EVENTS == 0:
                await asyncio.sleep(0)
            answer = self._recorded(said.events[0], owed.firing.due, f"said-{self._said}")
            self._folding.step(self._book.position, answer.time, None, answer, {})

    def _declare(self, since: datetime) -> None:
        recorded = self._recorded(self._declared, since, "declaration")
        aggregate = Aggregate(self._namespace, recorded.event.noun(), self._declared.trigger)
        self._folding.step(0, since, aggregate, recorded, {})

    def _recorded(self, event: Any, time: datetime, id: str) -> Recorded:
        return Recorded(event, self._namespace, self._book.position, time, id, "backtest", id)

    def _asks_for_rows(self) -> bool:
        """Whether an expression names `row`; one that is not readable is refused anyway."""
        try:
            asked = asks_for(self._declared, self._compile)
            return ROW in asked | self._compile(self._declared.when).names
        except GatewayError:
            return False

    def _filters(self) -> list[str]:
        types = list(awaited(self._declared))
        if self._rows is not None:
            nouns = dict.fromkeys(type.partition(".")[0] for type in types)
            types = [f"{noun}.*" for noun in nouns]
        fired = filter_of(self._namespace, TriggerFired.type, self._declared.trigger)
        if len(types) > FILTERS_MAX:
            return [filter_of(self._namespace)]
        if {TriggerFired.type, f"{TriggerFired.noun()}.*"} & set(types):  # they must not overlap
            return [filter_of(self._namespace, type) for type in types]
        return [*(filter_of(self._namespace, type) for type in types), fired]

    async def _beginning(self, until: datetime) -> datetime:
        first = await self._log.read("penstock.>", limit=1)
        return first[0].time if first else until


def _assumed(declared: TriggerRequested, run_seconds: float) -> TriggerRequested:
    """The declaration as it is run: never paused, its runs of the length assumed."""
    changes: dict[str, Any] = {"paused": False}
    if declared.concurrency is not None:
        changes["concurrency"] = declared.concurrency.model_copy(
            update={"lasts_seconds_max": run_seconds}
        )
    return declared.model_copy(update=changes)


def _readable(stored: StoredMessage) -> Recorded | None:
    try:
        return read_recorded(stored)
    except SchemaError:
        return None
