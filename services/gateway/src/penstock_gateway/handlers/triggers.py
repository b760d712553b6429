"""The desk of triggers: follows the log, and appends what the book says is owed.

Guarantees, whatever crashes when, and however many gateways run:

- Every event is judged once, in the order of the log; what was owed and not said when a gateway
  died is owed again by its next life, which finds it by folding the same log.
- An append is guarded by the trigger's own last sequence and carries ids that derive from the
  trigger, the firing and its cause: two gateways, or one that does not know whether its append
  took effect, make one firing.
- Time alone fires too (a debounce that went quiet, a planned time): the clock is only heard once
  the log as it stood at the start has been read, and what passed meanwhile is due at once.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from functools import partial

import structlog

from penstock_chassis.errors import Conflict, NotFound, Unavailable
from penstock_chassis.message import Cause, Draft, to_message
from penstock_chassis.ports import Clock, EventLog, Guard, Message, StoredMessage
from penstock_gateway.domain.checkpoint import dump_checkpoint, load_checkpoint
from penstock_gateway.domain.descent import TriggerKey
from penstock_gateway.domain.event_index import message_mark
from penstock_gateway.domain.expressions import Compile
from penstock_gateway.domain.firing import Owed
from penstock_gateway.domain.projected import Checkpoint
from penstock_gateway.domain.trigger_book import NOUN, TriggerBook
from penstock_gateway.domain.trigger_checks import fault_of
from penstock_gateway.domain.trigger_folding import Folding
from penstock_gateway.domain.triggers import Material, Said, next_owed, say
from penstock_gateway.domain.view import View
from penstock_gateway.handlers.judging import Judging
from penstock_gateway.handlers.rows import RowsAsOf
from penstock_gateway.handlers.trigger_metrics import TriggerMetrics
from penstock_gateway.ports import Checkpoints
from penstock_gateway.supervisor.resuming import follows
from penstock_schemas import (
    Aggregate,
    TriggerDeleted,
    TriggerFireRequested,
    TriggerPauseRequested,
    TriggerRequested,
    TriggerResumeRequested,
    derived_id,
    parse_subject,
)

SOURCE = "penstock/gateway"
EVERYTHING = ("penstock.>",)
DELETED = f".{TriggerDeleted.type}."
CHECKPOINT = "triggers"
CHECKPOINT_EVENTS = 10_000
"""So many events after one checkpoint the next is written."""
READ_AHEAD_MAX = 64
"""Messages that are read and not judged yet."""
FIRINGS_MAX = 100
"""Firings of one append."""
WAIT_SECONDS_MAX = 60.0
"""How long the clock is not looked at while a deadline is set."""
PAUSE_FIRST_SECONDS = 0.1
PAUSE_MAX_SECONDS = 5.0

log = structlog.get_logger("penstock.gateway")


class TriggerDesk:
    """All triggers of one platform, live."""

    answers = (
        TriggerRequested,
        TriggerPauseRequested,
        TriggerResumeRequested,
        TriggerFireRequested,
    )
    """The wishes that are its own to answer; it reads everything else too."""

    def __init__(
        self,
        events: EventLog,
        clock: Clock,
        views: Mapping[str, View],
        compile: Compile,
        kept: Checkpoints,
        version: str,
    ) -> None:
        """`version` names what checkpoints hold: those of another one are not used."""
        self._log = events
        self._clock = clock
        self._views = views
        self._compile = compile
        self._kept = kept
        self._version = version
        self._last: StoredMessage | None = None
        self._saved = 0
        self._metrics = TriggerMetrics(self._owed)
        self._begin(TriggerBook())
        self._known: int | None = None
        """Where the log stood at the start: before it, time is the log's alone."""
        self._reached = 0
        """Nothing is said before this much has been read: it may have been said already."""

    @property
    def caught_up(self) -> bool:
        """Whether everything that stood in the log at the start has been judged."""
        return self._known is not None and self.book.position >= self._known

    def _begin(self, book: TriggerBook) -> None:
        self.book = book
        check = partial(fault_of, compile=self._compile)
        self._folding = Folding(book, check, self._compile, self._metrics.hear)
        rows = RowsAsOf(self._log, self._views)
        self._judging = Judging(self._folding, self._compile, rows, self._log, self._metrics.took)

    def _owed(self, key: TriggerKey | None) -> int:
        """How much a trigger owes; for None those without metrics of their own."""
        owing = [key] if key else [one for one in self.book.owing if not self._metrics.named(one)]
        return sum(len(self.book.triggers[one].timing.owed) for one in owing)

    async def run(self) -> None:
        """Judge and fire for ever."""
        await self._resume()
        self._known = await self._insist_head()
        self._reached = self._known
        self._metrics.live = self.caught_up
        ahead: asyncio.Queue[StoredMessage | BaseException] = asyncio.Queue(READ_AHEAD_MAX)
        reading = asyncio.create_task(self._read(ahead))
        try:
            await self._say()  # what a checkpoint owes, with nothing new behind it
            while True:
                stored = await self._next(ahead)
                if isinstance(stored, BaseException):
                    raise stored
                if stored is not None:
                    await self._take(stored)
                elif self.caught_up:
                    self._folding.advance(self._clock.now())
                await self._say()
                if self.book.position - self._saved >= CHECKPOINT_EVENTS:
                    await self.checkpoint()
        finally:
            reading.cancel()
            with suppress(asyncio.CancelledError):
                await reading

    async def _read(self, ahead: "asyncio.Queue[StoredMessage | BaseException]") -> None:
        try:
            async for stored in self._log.follow(EVERYTHING, after=self.book.position):
                await ahead.put(stored)
        except Exception as error:  # noqa: BLE001 - told to whoever waits for the next message
            await ahead.put(error)

    async def _next(
        self, ahead: "asyncio.Queue[StoredMessage | BaseException]"
    ) -> StoredMessage | BaseException | None:
        """The next message, or None once a deadline has passed."""
        if not ahead.empty():
            return ahead.get_nowait()
        due = self.book.next_deadline() if self.caught_up else None
        if due is None:
            return await ahead.get()
        seconds = (due - self._clock.now()).total_seconds()
        if seconds <= 0:
            return None
        with suppress(TimeoutError):
            async with asyncio.timeout(min(seconds, WAIT_SECONDS_MAX)):
                return await ahead.get()
        return None

    async def _take(self, stored: StoredMessage) -> None:
        pause = PAUSE_FIRST_SECONDS
        while True:
            try:
                await self._judging.take(stored)
            except Unavailable as error:
                log.warning("triggers wait", error=str(error), retry_seconds=pause)
                await asyncio.sleep(pause)
                pause = min(2 * pause, PAUSE_MAX_SECONDS)
            else:
                self._last = stored
                self._metrics.live = self.caught_up
                if self._metrics.live and DELETED in stored.subject:
                    subject = parse_subject(stored.subject)
                    self._metrics.forget((subject.namespace, subject.id))
                return

    async def _resume(self) -> None:
        """Go on from the checkpoint, if one fits."""
        try:
            await self._kept.open()
            kept = await self._kept.saved(CHECKPOINT)
            if kept is None or kept.version != self._version:
                return
            if not await follows(self._log, kept.position, kept.mark):
                return
        except Unavailable as error:
            log.warning("no checkpoint: triggers read the whole log", error=str(error))
            return
        self._begin(load_checkpoint(kept.document))
        self._saved = self.book.position
        log.info("triggers go on from checkpoint", position=kept.position)

    async def checkpoint(self) -> None:
        """Keep what is folded now, for the next start."""
        last = self._last
        if last is None or last.sequence <= self._saved or last.sequence != self.book.position:
            return
        document = dump_checkpoint(self.book)
        self._saved = last.sequence
        kept = Checkpoint(self._version, last.sequence, message_mark(last), document)
        try:
            await self._kept.save(CHECKPOINT, lambda: kept)
        except Unavailable as error:
            log.warning("no checkpoint written", error=str(error))

    async def _insist_head(self) -> int:
        pause = PAUSE_FIRST_SECONDS
        while True:
            try:
                return await self._log.head(EVERYTHING)
            except Unavailable as error:
                log.warning("triggers wait", error=str(error), retry_seconds=pause)
                await asyncio.sleep(pause)
                pause = min(2 * pause, PAUSE_MAX_SECONDS)

    async def _say(self) -> None:
        """Append what is owed, unless more must be read first."""
        pause = PAUSE_FIRST_SECONDS
        while self.book.owing and self.book.position >= self._reached:
            try:
                said = await self._sayings()
                appended = await self._log.append(self._messages(said))
            except Conflict as conflict:
                head = conflict.sequence or await self._insist_head()
                self._reached = max(self._reached, head)
                if self.book.position >= self._reached:  # nothing to read that says why
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, PAUSE_MAX_SECONDS)
            except Unavailable as error:
                log.warning("triggers wait", error=str(error), retry_seconds=pause)
                await asyncio.sleep(pause)
                pause = min(2 * pause, PAUSE_MAX_SECONDS)
            else:
                # An earlier try that took effect may have held less: read what stands there.
                duplicate = appended.duplicate
                self._reached = await self._insist_head() if duplicate else appended.sequence
                for one in said:
                    _report(one)

    async def _sayings(self) -> list[Said]:
        """What is owed, as events, as much as one append may hold."""
        now = self._clock.now()
        found: list[Said] = []
        for key, owed in self.book.owed():
            trigger = self.book.triggers[key]
            first = next_owed(trigger, now)
            assert first is not None
            several = [first] if first is not owed[0] or _one_by_one(first) else owed
            number = trigger.number
            for one in several:
                if len(found) == FIRINGS_MAX or (one is not first and _one_by_one(one)):
                    break
                saying = await self._saying(key, one, number + 1)
                number += saying.events[0].type == "trigger.fired"
                found.append(saying)
        return found

    async def _saying(self, key: TriggerKey, owed: Owed, number: int) -> Said:
        try:
            material = await self._judging.material(owed)
        except NotFound as error:
            fault = ("on", f"an event that it is for is gone: {error}", "keep the log whole")
            owed, material = Owed(owed.firing, "refuse", fault=fault), Material()
        return say(self.book, key, owed, material, self._compile, number)

    def _messages(self, said: list[Said]) -> list[Message]:
        now = self._clock.now()
        guarded: set[TriggerKey] = set()
        messages: list[Message] = []
        for one in said:
            namespace = one.key[0]
            counts: dict[str, int] = {}
            story = ""
            for event in one.events:
                aggregate = event.aggregate(namespace)
                purpose = f"{SOURCE} {event.type} {aggregate} for {one.key[1]} {one.firing.key}"
                number = counts[purpose] = counts.get(purpose, -1) + 1
                id = derived_id(one.cause.id, purpose, number)
                story = story or (one.cause.correlation_id if one.firing.members else id)
                guard = None
                if one.key not in guarded:
                    guarded.add(one.key)
                    place = Aggregate(namespace, NOUN, one.key[1])
                    guard = Guard(place.filter, self.book.triggers[one.key].head)
                messages.append(
                    to_message(
                        Draft(event, namespace),
                        source=SOURCE,
                        cause=Cause(one.cause.id, namespace, story, one.traceparent),
                        id=id,
                        now=now,
                        guard=guard,
                    )
                )
        return messages


def _one_by_one(owed: Owed) -> bool:
    """Whether what comes after it depends on what comes of it."""
    declared = owed.declared
    return not owed.firing.members or (declared is not None and declared.concurrency is not None)


def _report(said: Said) -> None:
    log.info(
        "trigger",
        trigger=said.key[1],
        namespace=said.key[0],
        cause=said.cause.type,
        sequence=said.firing.through,
        outcome=said.events[0].type.split(".")[1],
    )
