"""The child's side: its one line of talk to the parent, and its end with the parent's."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import threading
from pathlib import Path
from typing import Any, TextIO

_LINUX_STATUS = Path("/proc/self/status")


class Protocol:
    """The line of talk to the parent; taken away from everything else that prints, which goes to
    standard error."""

    def __init__(self) -> None:
        self._stream: TextIO = os.fdopen(os.dup(1), "w", encoding="utf-8")
        self._lock = threading.Lock()
        os.dup2(2, 1)

    @staticmethod
    def request() -> dict[str, Any]:
        """What the parent asks, one JSON object."""
        asked: dict[str, Any] = json.loads(sys.stdin.readline())
        return asked

    def say(self, **line: Any) -> None:
        """Send one line; whole even when two threads speak."""
        with self._lock:
            self._stream.write(json.dumps(line) + "\n")
            self._stream.flush()


def peak_memory_bytes() -> int:
    """Return the largest resident memory that this process has had."""
    if _LINUX_STATUS.exists():
        # Not getrusage: on Linux its figure begins with the parent's, kept through fork and exec.
        return int(_LINUX_STATUS.read_text().partition("VmHWM:")[2].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS


def watch_parent() -> None:
    """End this process group as soon as the parent's end of standard input closes."""
    # A descriptor of its own: a buffered reader would deadlock the interpreter's shutdown.
    descriptor = os.dup(0)

    def wait() -> None:
        while os.read(descriptor, 4096):
            continue
        os.killpg(os.getpgrp(), signal.SIGKILL)

    threading.Thread(target=wait, name="parent-watch", daemon=True).start()
