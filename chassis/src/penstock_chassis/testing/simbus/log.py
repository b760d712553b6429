"""The event log of a simulated world, as one incarnation sees it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from penstock_chassis.errors import Conflict, NotFound, TooLarge, Unavailable
from penstock_chassis.ports import BATCH_MESSAGES_MAX, Appended, Guard, Message, StoredMessage
from penstock_chassis.testing.simbus.incarnation import Incarnation
from penstock_chassis.testing.simbus.stream import (
    ID_HEADER,
    PAYLOAD_BYTES_MAX,
    SimStream,
    Stored,
    WrongLastSequence,
    first_guarded,
)

T = TypeVar("T")


def append_to(stream: SimStream, messages: Sequence[Message]) -> Appended:
    """Append, and read the server's answer as the port promises; raises `Conflict`."""
    answer = stream.append(messages)
    if isinstance(answer, Stored):
        return Appended(answer.sequence, answer.duplicate)
    guarded = first_guarded(messages)
    ours = guarded or messages[0]
    place = guarded.guard if guarded and guarded.guard else Guard(ours.subject, 0)
    for standing in stream.all_after((place.filter,), place.sequence):
        if standing.headers.get(ID_HEADER) == ours.id:
            # An earlier try took effect. A batch is contiguous, so its end is known from it.
            behind = len(messages) - 1 - list(messages).index(ours)
            return Appended(standing.sequence + behind, duplicate=True)
    if isinstance(answer, WrongLastSequence):
        raise Conflict(f"wrong last sequence: {answer.sequence}", answer.sequence or None)
    raise Conflict("the batch holds an id twice or one that was appended before")


class SimEventLog:
    """`EventLog` on a simulated stream."""

    def __init__(self, stream: SimStream, incarnation: Incarnation) -> None:
        self._stream = stream
        self._incarnation = incarnation
        self._reader = StreamReader(stream, incarnation, "log")

    async def append(self, messages: Sequence[Message]) -> Appended:
        """See `EventLog.append`."""
        if not 1 <= len(messages) <= BATCH_MESSAGES_MAX:
            raise ValueError(
                f"an append holds 1 to {BATCH_MESSAGES_MAX} messages, not {len(messages)}"
            )
        for message in messages:
            must_fit(message.payload)
        return await publish(
            self._incarnation, "log.append", lambda: append_to(self._stream, messages)
        )

    async def read(self, filter: str, *, after: int = 0, limit: int = 0) -> list[StoredMessage]:
        """See `EventLog.read`."""
        return await self._reader.read(filter, after, limit)

    async def get(self, sequence: int) -> StoredMessage:
        """See `EventLog.get`."""
        found = await self._reader.query("get", lambda: self._stream.at(sequence))
        if found is None:
            raise NotFound(f"the log has no message {sequence}")
        return found

    async def head(self, filters: Sequence[str]) -> int:
        """See `EventLog.head`."""
        return await self._reader.query(
            "head", lambda: max((self._stream.last_matching(item) for item in filters), default=0)
        )

    def follow(
        self, filters: Sequence[str], *, after: int = 0, since: datetime | None = None
    ) -> AsyncIterator[StoredMessage]:
        """See `EventLog.follow`."""
        if since is not None:
            after = max(after, self._stream.before(since))
        return self._reader.follow(filters, after)


class StreamReader:
    """Reading any stream."""

    def __init__(self, stream: SimStream, incarnation: Incarnation, role: str) -> None:
        self._stream = stream
        self._incarnation = incarnation
        self._role = role

    async def query(self, name: str, effect: Callable[[], T]) -> T:
        """One question to the server."""
        incarnation = self._incarnation
        if incarnation.happens(incarnation.faults.refuse_read):
            return await incarnation.call_async(f"{self._role}.{name}", self._unanswered)
        return await incarnation.call(f"{self._role}.{name}", effect)

    async def read(self, filter: str, after: int, limit: int) -> list[StoredMessage]:
        """The messages above `after`."""
        return await self.query("read", lambda: self._stream.all_after((filter,), after, limit))

    async def follow(self, filters: Sequence[str], after: int) -> AsyncIterator[StoredMessage]:
        """The messages above `after`, then every new one. Each step is a port call."""
        name = f"{self._role}.follow"
        while True:
            number = self._incarnation.enter(name)
            await self._incarnation.pause()
            while (found := self._stream.first_after(filters, after)) is None:
                await self._stream.grown.wait()
            await self._incarnation.pause()
            self._incarnation.leave(number, name)
            after = found.sequence
            yield found

    async def _unanswered(self) -> Any:
        self._incarnation.happened("refuse_read")
        await asyncio.sleep(self._incarnation.faults.answer_timeout_seconds)
        raise Unavailable(f"{self._role}: no answer (simulated)")


def must_fit(payload: bytes) -> None:
    """Raise `TooLarge` above the server's limit."""
    if len(payload) > PAYLOAD_BYTES_MAX:
        raise TooLarge(
            f"the payload has {len(payload)} bytes, the bus carries {PAYLOAD_BYTES_MAX}: "
            "put the data into the object store and append its reference"
        )


async def publish(incarnation: Incarnation, what: str, effect: Callable[[], T]) -> T:
    """A publish and its answer, under the faults of publishing."""
    faults = incarnation.faults

    async def refused() -> Any:
        incarnation.happened("refuse_publish")
        await asyncio.sleep(faults.answer_timeout_seconds)
        raise Unavailable(f"{what}: no answer (simulated, without effect)")

    async def unanswered() -> Any:
        incarnation.happened("lose_publish_answer")
        effect()
        await asyncio.sleep(faults.answer_timeout_seconds)
        raise Unavailable(f"{what}: no answer (simulated, took effect)")

    async def late() -> Any:
        incarnation.happened("late_publish")
        loop = asyncio.get_running_loop()
        delay_seconds = incarnation.chance.uniform(0, faults.delay_seconds_max)
        loop.call_later(faults.answer_timeout_seconds + delay_seconds, _quietly, effect)
        await asyncio.sleep(faults.answer_timeout_seconds)
        raise Unavailable(f"{what}: no answer (simulated, still under way)")

    if incarnation.happens(faults.refuse_publish):
        return await incarnation.call_async(what, refused)
    if incarnation.happens(faults.lose_publish_answer):
        return await incarnation.call_async(what, unanswered)
    if incarnation.happens(faults.late_publish):
        return await incarnation.call_async(what, late)
    return await incarnation.call(what, effect)


def _quietly(effect: Callable[[], Any]) -> None:
    """A publish that arrives when nobody waits for its answer any more."""
    try:
        effect()
    except Conflict:
        return
