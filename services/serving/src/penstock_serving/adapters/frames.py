"""Messages between the front and a worker: a kind, a length, a JSON body, on a stream socket.

JSON and not pickle: a worker runs a model's code, so the front must be able to read what the
worker says without running it. Floats keep their bits (shortest form that reads back the same).
"""

import asyncio
import struct
from collections.abc import Callable
from enum import IntEnum
from typing import Any, cast

import orjson

HEADER = struct.Struct("<BI")
MAX_FRAME_BYTES = 512 * 1024 * 1024


class Kind(IntEnum):
    """What a frame says."""

    BORN = 1  # worker: {"pid"}: forked, about to load
    READY = 2  # worker: {"start_seconds", "rss_bytes", "notes"}: loaded and warm
    FAILED = 3  # worker: {"reason"}: cannot load; it ends
    BATCH = 4  # front: {"columns", "rows": [n, …], "outputs": [[name, …], …]}
    RESULTS = 5  # worker: one {"outputs": [[…], …]} or {"error": …} per request of the batch


class BrokenFrame(Exception):
    """The peer sent what is not a frame."""


def encode_frame(kind: Kind, body: Any) -> bytes:
    """One message as bytes."""
    payload = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
    return HEADER.pack(kind, len(payload)) + payload


def decode_header(header: bytes | bytearray) -> tuple[Kind, int]:
    """Kind and body length in bytes; raises `BrokenFrame`."""
    number, length = HEADER.unpack(header)
    try:
        kind = Kind(number)
    except ValueError as error:
        raise BrokenFrame(f"unknown kind of frame {number}") from error
    if length > MAX_FRAME_BYTES:
        raise BrokenFrame(f"a frame of {length} bytes; at most {MAX_FRAME_BYTES}")
    return kind, length


class FrameProtocol(asyncio.Protocol):
    """The front's end: calls `on_frame(kind, body)` per message and `on_lost()` once at the end."""

    def __init__(self, on_frame: Callable[[Kind, Any], None], on_lost: Callable[[], None]) -> None:
        self._on_frame = on_frame
        self._on_lost = on_lost
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport for `send`."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def send(self, frame: bytes) -> None:
        """Send one encoded frame; lost silently if the peer is gone, which `on_lost` tells."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frame)

    def close(self) -> None:
        """Close the stream after what was written."""
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Take bytes; hand on the frames that are complete."""
        self._buffer += data
        try:
            while len(self._buffer) >= HEADER.size:
                kind, length = decode_header(self._buffer[: HEADER.size])
                end = HEADER.size + length
                if len(self._buffer) < end:
                    break
                body = orjson.loads(self._buffer[HEADER.size : end])
                del self._buffer[:end]
                self._on_frame(kind, body)
        except (BrokenFrame, orjson.JSONDecodeError):
            # A worker that talks nonsense is as good as dead: its requests are replayed.
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The worker closed its end, or died."""
        self._on_lost()
