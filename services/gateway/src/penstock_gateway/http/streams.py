"""Live tails: one reader of the log for each client, handed on as server-sent events.

A client that reads slowly slows its own reader, through a bounded queue; nobody else's. Every
event carries the log's sequence as its id, so a client that comes back with `Last-Event-ID`
misses nothing and gets nothing twice.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, suppress
from typing import cast

from penstock_chassis.ports import EventLog, StoredMessage
from penstock_gateway.http.answers import dump, event_document

STREAMS_MAX = 100
QUEUE_EVENTS_MAX = 256
"""Events read ahead of one client."""
HEARTBEAT_SECONDS = 15.0
RECONNECT_MS = 1000
"""What a browser waits before it comes back."""


class Streams:
    """The open streams of one application."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._stopping = asyncio.Event()
        self.open = 0

    @property
    def full(self) -> bool:
        """Whether no further stream may be opened."""
        return self.open >= STREAMS_MAX or self._stopping.is_set()

    def stop(self) -> None:
        """End every stream; their clients come back to the next process."""
        self._stopping.set()

    async def events(
        self, filters: Sequence[str], after: int, allowed: Callable[[], bool] = lambda: True
    ) -> AsyncIterator[bytes]:
        """The stream of what matches above `after`, as `text/event-stream`, for as long as it is
        `allowed`: asked before each event, and every `HEARTBEAT_SECONDS`."""
        queue: asyncio.Queue[StoredMessage] = asyncio.Queue(QUEUE_EVENTS_MAX)
        reader = asyncio.create_task(self._read(filters, after, queue))
        stopping = asyncio.create_task(self._stopping.wait())
        coming = asyncio.create_task(queue.get())
        self.open += 1
        try:
            yield f"retry: {RECONNECT_MS}\n: from {after}\n\n".encode()
            while True:
                await asyncio.wait(
                    [coming, stopping, reader],
                    timeout=HEARTBEAT_SECONDS,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if not allowed():
                    return
                if coming.done():
                    stored = coming.result()
                    coming = asyncio.create_task(queue.get())
                    yield _as_sse(stored)
                elif stopping.done() or reader.done():
                    return
                else:
                    yield b": heartbeat\n\n"
        finally:
            self.open -= 1
            for task in (reader, stopping, coming):
                task.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await task

    async def _read(
        self, filters: Sequence[str], after: int, queue: asyncio.Queue[StoredMessage]
    ) -> None:
        following = self._log.follow(filters, after=after)
        async with aclosing(cast("AsyncGenerator[StoredMessage, None]", following)) as messages:
            async for stored in messages:
                await queue.put(stored)


def _as_sse(stored: StoredMessage) -> bytes:
    data = dump(event_document(stored)).decode()
    return f"id: {stored.sequence}\nevent: event\ndata: {data}\n\n".encode()
