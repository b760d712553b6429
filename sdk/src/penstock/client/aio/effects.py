"""What differs between the asynchronous and the synchronous client beyond their keywords."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from inspect import isawaitable
from pathlib import Path
from typing import Any

from penstock.client.records import RecordedEvent

CHUNK_BYTES = 2**18

Handler = Callable[[RecordedEvent], Awaitable[Any] | Any]
"""A function of one event, plain or `async`."""


async def sleep(seconds: float) -> None:
    """Pause."""
    await asyncio.sleep(seconds)


async def call(handler: Handler, event: RecordedEvent) -> None:
    """Run a handler to its end."""
    result = handler(event)
    if isawaitable(result):
        await result


async def chunks(path: Path, progress: Callable[[int], None]) -> AsyncIterator[bytes]:
    """The bytes of a file, read beside the event loop; `progress` hears how many each time."""
    with path.open("rb") as file:
        while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
            yield chunk
            progress(len(chunk))
