"""A JetStream stream in memory: what the server stores, and how it answers an append.

The rules are those measured on nats-server 2.15: the expected sequence of a single append is
checked before its id, and an id seen within the duplicate window is success; a batch is refused
as a whole when a guard does not hold or an id was seen; sequences count from 1 without gaps, and a
removed message leaves its number unused.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from penstock_chassis.ports import Message, StoredMessage
from penstock_chassis.testing.loop import EPOCH
from penstock_chassis.testing.simbus.signal import Signal
from penstock_chassis.testing.simbus.subjects import matches

DUPLICATE_WINDOW_SECONDS = 120.0
PAYLOAD_BYTES_MAX = 2**20
ID_HEADER = "Nats-Msg-Id"


@dataclass(frozen=True, slots=True)
class Stored:
    """Taken; `duplicate` where it was there before."""

    sequence: int
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class WrongLastSequence:
    """Error 10071: the guard's filter stands at another sequence."""

    sequence: int


@dataclass(frozen=True, slots=True)
class BatchHoldsDuplicate:
    """The batch was refused: it holds an id twice, or one of the duplicate window."""


Answer = Stored | WrongLastSequence | BatchHoldsDuplicate


class SimStream:
    """The messages of one stream and what is needed to find them."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.grown = Signal()
        self.on_append: list[Callable[[StoredMessage], None]] = []
        self._messages: list[StoredMessage | None] = []
        self._by_token: dict[tuple[int, str], list[int]] = {}
        self._seen: dict[str, tuple[int, float]] = {}
        """By id: the sequence, and the loop's time when it was stored."""

    @property
    def last(self) -> int:
        """The sequence of the last message, 0 where there is none."""
        return len(self._messages)

    def append(self, messages: Sequence[Message]) -> Answer:
        """Store all or none, as the server does."""
        for message in messages:
            if message.guard is not None:
                last = self.last_matching(message.guard.filter)
                if last != message.guard.sequence:
                    return WrongLastSequence(last)
        ids = [message.id for message in messages if message.id]
        if len(set(ids)) < len(ids):
            return BatchHoldsDuplicate()
        for id in ids:
            seen = self._seen_sequence(id)
            if seen:
                return Stored(seen, duplicate=True) if len(messages) == 1 else BatchHoldsDuplicate()
        for message in messages:
            self._store(message)
        self.grown.set()
        return Stored(self.last)

    def last_matching(self, filter: str) -> int:
        """The sequence of the last message that matches, 0 where none does."""
        for sequence in reversed(self._candidates(filter)):
            message = self._messages[sequence - 1]
            if message is not None and matches(filter, message.subject):
                return sequence
        return 0

    def first_after(self, filters: Sequence[str], after: int) -> StoredMessage | None:
        """The first message above `after` that matches any filter."""
        found: StoredMessage | None = None
        for filter in filters:
            candidates = self._candidates(filter)
            for index in range(bisect_right(candidates, after), len(candidates)):
                sequence = candidates[index]
                if found is not None and sequence >= found.sequence:
                    break
                message = self._messages[sequence - 1]
                if message is not None and matches(filter, message.subject):
                    found = message
                    break
        return found

    def all_after(
        self, filters: Sequence[str], after: int = 0, limit: int = 0
    ) -> list[StoredMessage]:
        """The messages above `after` that match, in order; at most `limit` where it is not 0."""
        found: list[StoredMessage] = []
        while not limit or len(found) < limit:
            message = self.first_after(filters, after)
            if message is None:
                break
            found.append(message)
            after = message.sequence
        return found

    def at(self, sequence: int) -> StoredMessage | None:
        """The message at a sequence, None where none is."""
        return self._messages[sequence - 1] if 1 <= sequence <= self.last else None

    def before(self, moment: datetime) -> int:
        """The sequence of the last message stored before a moment, 0 where none was."""
        for message in reversed(self._messages):
            if message is not None and message.time < moment:
                return message.sequence
        return 0

    def remove(self, sequence: int) -> bool:
        """Forget the message at a sequence; whether it was there."""
        if self.at(sequence) is None:
            return False
        self._messages[sequence - 1] = None
        return True

    def _store(self, message: Message) -> None:
        now = asyncio.get_running_loop().time()
        sequence = self.last + 1
        stored = StoredMessage(
            message.subject,
            message.payload,
            {**message.headers, ID_HEADER: message.id} if message.id else dict(message.headers),
            sequence,
            EPOCH + timedelta(seconds=now),
        )
        self._messages.append(stored)
        if message.id:
            self._seen[message.id] = (sequence, now)
        for place in enumerate(message.subject.split(".")):
            self._by_token.setdefault(place, []).append(sequence)
        for callback in self.on_append:
            callback(stored)

    def _seen_sequence(self, id: str) -> int:
        sequence, stored_at = self._seen.get(id, (0, 0.0))
        age_seconds = asyncio.get_running_loop().time() - stored_at
        return sequence if age_seconds < DUPLICATE_WINDOW_SECONDS else 0

    def _candidates(self, filter: str) -> Sequence[int]:
        """Sequences among which every match is: those of the filter's rarest literal token."""
        best: Sequence[int] = range(1, self.last + 1)
        for place in enumerate(filter.split(".")):
            if place[1] not in ("*", ">"):
                sequences = self._by_token.get(place, ())
                if len(sequences) < len(best):
                    best = sequences
        return best


def first_guarded(messages: Sequence[Message]) -> Message | None:
    """The first message that has a guard."""
    return next((message for message in messages if message.guard is not None), None)
