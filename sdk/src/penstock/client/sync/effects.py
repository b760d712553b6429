"""What differs between the synchronous and the asynchronous client beyond their keywords."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from penstock.client.records import RecordedEvent

CHUNK_BYTES = 2**18

Handler = Callable[[RecordedEvent], Any]
"""A function of one event."""


def sleep(seconds: float) -> None:
    """Pause."""
    time.sleep(seconds)


def call(handler: Handler, event: RecordedEvent) -> None:
    """Run a handler to its end."""
    handler(event)


def chunks(path: Path, progress: Callable[[int], None]) -> Iterator[bytes]:
    """The bytes of a file; `progress` hears how many each time."""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
            progress(len(chunk))
