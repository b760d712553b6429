"""Random histories of the platform, and a log that holds one: the same in every process."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

from pydantic import ValidationError

from penstock_chassis.errors import NotFound
from penstock_chassis.message import Draft, to_message
from penstock_chassis.ports import Appended, Message, StoredMessage
from penstock_schemas import Event, event_types

START = datetime(2026, 1, 1, tzinfo=UTC)
UNREADABLE = 0.05
"""The share of messages that nobody can read."""
IDS = 7
"""Things of each noun that the events are about."""
STORIES = 50


def random_story(seed: int, events: int, *, ids: int = IDS) -> list[StoredMessage]:
    """Every kind of event about a few things, in a random order and as the log would store it."""
    chance = random.Random(seed)
    contracts = list(event_types().values())
    stored = []
    for sequence in range(1, events + 1):
        event = _about(chance.choice(contracts), chance.randrange(ids))
        namespace = chance.choice(["vision", "audio"])
        time = START + timedelta(seconds=sequence, microseconds=chance.randrange(10**6))
        message = _message(event, namespace, f"event-{sequence}", time)
        headers = dict(message.headers)
        headers["ce-correlationid"] = f"story-{chance.randrange(STORIES)}"
        payload = b"{" if chance.random() < UNREADABLE else message.payload
        stored.append(StoredMessage(message.subject, payload, headers, sequence, time))
    return stored


def _about(contract: type[Event], number: int) -> Event:
    """The example of a contract, about another thing where its id is free to choose."""
    try:
        changed = {**contract.example, contract.key: f"{contract.noun()}-{number}"}
        return contract.model_validate(changed)
    except ValidationError:
        return contract.model_validate(contract.example)


def _message(event: Event, namespace: str, id: str, now: datetime) -> Message:
    return to_message(Draft(event, namespace), source="story", cause=None, id=id, now=now)


class StoryLog:
    """`EventLog` over a given history that `grow` makes longer; nobody appends to it."""

    def __init__(self, stored: Sequence[StoredMessage] = ()) -> None:
        self.stored = list(stored)
        self._grown = asyncio.Condition()

    async def grow(self, stored: Sequence[StoredMessage]) -> None:
        """What was appended meanwhile."""
        async with self._grown:
            self.stored += stored
            self._grown.notify_all()

    async def append(self, messages: Sequence[Message]) -> Appended:
        """See `EventLog.append`."""
        raise NotImplementedError("a story is only read")

    async def read(self, filter: str, *, after: int = 0, limit: int = 0) -> list[StoredMessage]:
        """See `EventLog.read`; the filter is taken to match everything."""
        return self.stored[after : after + limit if limit else None]

    async def get(self, sequence: int) -> StoredMessage:
        """See `EventLog.get`."""
        if not 1 <= sequence <= len(self.stored):
            raise NotFound(f"the story has no message {sequence}")
        return self.stored[sequence - 1]

    async def head(self, filters: Sequence[str]) -> int:
        """See `EventLog.head`."""
        return len(self.stored)

    async def follow(
        self, filters: Sequence[str], *, after: int = 0, since: datetime | None = None
    ) -> AsyncIterator[StoredMessage]:
        """See `EventLog.follow`."""
        while True:
            async with self._grown:
                while len(self.stored) <= after:
                    await self._grown.wait()
            for stored in self.stored[after:]:
                after = stored.sequence
                yield stored
