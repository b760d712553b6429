"""A rank's output on disk, bounded.

The first part is written as it comes. Past that, only the last part is kept, in memory, and is
written when the rank ends: a traceback at the end of a flood is what people look for.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

TAIL_LIMIT_BYTES: Final = 256 * 1024


class BoundedLog:
    """A log file of at most `limit_bytes` of output, plus two notes where some was dropped.

    A full disk never stops the rank: `error` then says what was lost.
    """

    def __init__(self, path: Path, limit_bytes: int, tee: int | None = None) -> None:
        self._tail_limit_bytes = min(TAIL_LIMIT_BYTES, limit_bytes // 2)
        self._head_left_bytes = limit_bytes - self._tail_limit_bytes
        self._limit_bytes = limit_bytes
        self._tail = bytearray()
        self._dropped_bytes = 0
        self._tee = tee
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.error: str | None = None

    def write(self, data: bytes) -> None:
        """Take some output."""
        if self._tee is not None:
            self._put(self._tee, data)
        head, rest = data[: self._head_left_bytes], data[self._head_left_bytes :]
        self._put(self._file, head)
        self._head_left_bytes -= len(head)
        if not rest:
            return
        if not self._tail:
            self._note(
                f"the log is near its limit of {self._limit_bytes} bytes: "
                f"the last {self._tail_limit_bytes} bytes follow when the rank has ended"
            )
        self._tail += rest
        excess = len(self._tail) - self._tail_limit_bytes
        if excess > 0:
            del self._tail[:excess]
            self._dropped_bytes += excess

    def close(self) -> None:
        """Write what was kept back, and make the whole log durable."""
        if self._dropped_bytes:
            self._note(f"{self._dropped_bytes} bytes were dropped here")
        self._put(self._file, bytes(self._tail))
        try:
            os.fsync(self._file)
        except OSError as error:
            self.error = self.error or str(error)
        os.close(self._file)

    def _note(self, text: str) -> None:
        self._put(self._file, f"\n[penstock: {text}]\n".encode())

    def _put(self, descriptor: int, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(descriptor, view) :]
        except OSError as error:
            self.error = self.error or str(error)
