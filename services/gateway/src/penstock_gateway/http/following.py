"""The gateway's fold: it feeds the projector, and starts from a checkpoint.

What decides (triggers, and the last sequence of every aggregate) stays in memory. A checkpoint of
it is kept beside the rows, so that a start folds only what came since. It is a cache: one of
another version or another log is not used, and without any the whole log is folded.
"""

import asyncio

import structlog

from penstock_chassis.errors import Unavailable
from penstock_chassis.fold import Fold
from penstock_chassis.message import Recorded
from penstock_chassis.ports import EventLog, StoredMessage
from penstock_gateway.domain.checkpoint import dump_checkpoint, load_checkpoint
from penstock_gateway.domain.event_index import message_mark
from penstock_gateway.domain.projected import Checkpoint
from penstock_gateway.domain.state import NOUNS, State, evolve
from penstock_gateway.domain.trigger_book import TriggerBook
from penstock_gateway.http.projector import Projector, follows

CHECKPOINT = "triggers"
CHECKPOINT_EVENTS = 10_000
"""So many events after one checkpoint the next is written."""

log = structlog.get_logger("penstock.gateway")


class FeedingFold(Fold[State]):
    """The fold over every noun; `version` names what its checkpoints hold."""

    def __init__(self, projector: Projector, version: str) -> None:
        super().__init__(NOUNS, State(), evolve)
        self._projector = projector
        self._version = version
        self._last: StoredMessage | None = None
        self._saved = 0
        self._due = asyncio.Event()

    async def follow(self, log: EventLog) -> None:
        """See `Fold.follow`; it begins at the checkpoint, if there is one."""
        if self.position == 0:
            await self._resume(log)
        self._projector.begin(self.position)
        await super().follow(log)

    def apply(self, stored: StoredMessage) -> Recorded | None:
        """See `Fold.apply`."""
        recorded = super().apply(stored)
        self._projector.feed(stored, recorded)
        self._last = stored
        if stored.sequence - self._saved >= CHECKPOINT_EVENTS:
            self._due.set()
        return recorded

    async def _resume(self, events: EventLog) -> None:
        try:
            await self._projector.store.open()
            kept = await self._projector.store.saved(CHECKPOINT)
        except Unavailable as error:
            log.warning("no checkpoint: the whole log is folded", error=str(error))
            return
        if kept is None or kept.version != self._version:
            return
        if not await follows(events, kept.position, kept.mark):
            return
        book, heads = load_checkpoint(kept.document)
        self._saved = kept.position
        self.resume(State(book), heads, kept.position)
        log.info("goes on from checkpoint", position=kept.position)

    async def keep_checkpoints(self) -> None:
        """Write checkpoints as they become due, for ever."""
        while True:
            await self._due.wait()
            self._due.clear()
            await self.checkpoint()

    async def checkpoint(self) -> None:
        """Write a checkpoint of what is folded now."""
        last = self._last
        if last is None or last.sequence <= self._saved:
            return
        # Copied at one moment; written while the fold goes on.
        book, heads = _copy(self.state.triggers), self.heads()
        self._saved = last.sequence

        def make() -> Checkpoint:
            document = dump_checkpoint(book, heads)
            return Checkpoint(self._version, last.sequence, message_mark(last), document)

        try:
            await self._projector.store.save(CHECKPOINT, make)
        except Unavailable as error:
            log.warning("no checkpoint written", error=str(error))


def _copy(book: TriggerBook) -> TriggerBook:
    triggers = {
        key: type(one)(list(one.definitions), one.fired, set(one.causes), set(one.refused_requests))
        for key, one in book.triggers.items()
    }
    waiting = {place: dict(names) for place, names in book.waiting.items()}
    return TriggerBook(triggers, waiting, dict(book.descents))
