"""Telemetry and dead letters of a simulated world."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace

from penstock_chassis.errors import NotFound
from penstock_chassis.ports import DeadLetter, Guard, Message, StoredMessage
from penstock_chassis.testing.simbus.incarnation import Incarnation
from penstock_chassis.testing.simbus.log import StreamReader, append_to, must_fit, publish
from penstock_chassis.testing.simbus.stream import SimStream, Stored


class SimTelemetry:
    """`Telemetry` on a simulated stream."""

    def __init__(self, stream: SimStream, incarnation: Incarnation) -> None:
        self._stream = stream
        self._incarnation = incarnation
        self._reader = StreamReader(stream, incarnation, "telemetry")

    async def publish(self, subject: str, payload: bytes, id: str) -> None:
        """See `Telemetry.publish`."""
        must_fit(payload)
        message = Message(subject, payload, {}, id)
        await publish(
            self._incarnation, "telemetry.publish", lambda: append_to(self._stream, [message])
        )

    async def read(self, filter: str, *, after: int = 0, limit: int = 0) -> list[StoredMessage]:
        """See `Telemetry.read`."""
        return await self._reader.read(filter, after, limit)

    def follow(self, filter: str, *, after: int = 0) -> AsyncIterator[StoredMessage]:
        """See `Telemetry.follow`."""
        return self._reader.follow((filter,), after)


class SimDeadLetters:
    """`DeadLetters` on a simulated stream; `letters` holds them by position."""

    def __init__(
        self, stream: SimStream, letters: dict[int, DeadLetter], incarnation: Incarnation
    ) -> None:
        self._stream = stream
        self._letters = letters
        self._incarnation = incarnation

    async def put(self, letter: DeadLetter) -> None:
        """See `DeadLetters.put`."""
        about = json.dumps([letter.reason, letter.traceback]).encode()
        must_fit(letter.payload + about)
        await publish(self._incarnation, "dead_letters.put", lambda: self._put(letter))

    async def list(self) -> list[DeadLetter]:
        """See `DeadLetters.list`."""
        return await self._incarnation.call(
            "dead_letters.list", lambda: [self._letters[key] for key in sorted(self._letters)]
        )

    async def drop(self, position: int) -> None:
        """See `DeadLetters.drop`."""
        dropped = await self._incarnation.call("dead_letters.drop", lambda: self._drop(position))
        if dropped is None:
            raise NotFound(f"there is no dead letter {position}")

    def _drop(self, position: int) -> DeadLetter | None:
        self._stream.remove(position)
        return self._letters.pop(position, None)

    def _put(self, letter: DeadLetter) -> None:
        subject = f"deadletter.{letter.service}.{letter.sequence}"
        message = Message(subject, letter.payload, {}, "", Guard(subject, 0))
        answer = self._stream.append([message])
        if isinstance(answer, Stored):  # else it is there already
            stored = self._stream.at(answer.sequence)
            assert stored is not None
            self._letters[answer.sequence] = replace(
                letter, position=answer.sequence, time=stored.time
            )
