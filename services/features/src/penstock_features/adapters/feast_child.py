"""The child of `FeastEngine`: reads one request, says progress and one answer, ends.

Standard output is the protocol (one JSON object a line: `progress`, `result` or `error`); whatever
Feast or the repository prints goes to standard error. It ends by itself when its parent dies and
when its resident memory passes the bound.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import threading
from pathlib import Path
from typing import Any, TextIO

from penstock_features.adapters.feast_run import materialize
from penstock_features.domain.materialization import MaterializeRequest
from penstock_features.errors import FeaturesError

MEMORY_CHECK_SECONDS = 0.1
_LINUX_STATUS = Path("/proc/self/status")


class Protocol:
    """The line of talk to the parent; taken away from everything else that prints."""

    def __init__(self) -> None:
        self._stream: TextIO = os.fdopen(os.dup(1), "w", encoding="utf-8")
        self._lock = threading.Lock()
        os.dup2(2, 1)

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


def main() -> int:
    """Answer the request on standard input."""
    protocol = Protocol()
    message = json.loads(sys.stdin.readline())
    request = MaterializeRequest.from_json(message["request"])
    _watch_parent()
    _watch_memory(protocol, message["memory_bytes"])
    try:
        result = materialize(
            request,
            memory_bytes=message["memory_bytes"],
            on_progress=lambda progress: protocol.say(progress=vars(progress)),
        )
    except FeaturesError as error:
        protocol.say(error={"kind": type(error).__name__, "message": str(error)})
        return 2
    protocol.say(result=result | {"peak_memory_bytes": peak_memory_bytes()})
    return 0


def _watch_parent() -> None:
    """End this process group as soon as the parent's end of standard input closes."""
    # A descriptor of its own: a buffered reader would deadlock the interpreter's shutdown.
    descriptor = os.dup(0)

    def wait() -> None:
        while os.read(descriptor, 4096):
            continue
        os.killpg(os.getpgrp(), signal.SIGKILL)

    threading.Thread(target=wait, name="parent-watch", daemon=True).start()


def _watch_memory(protocol: Protocol, bound_bytes: int) -> None:
    """End with a clear error once resident memory passes the bound."""
    over = threading.Event()

    def check() -> None:
        while not over.wait(MEMORY_CHECK_SECONDS):
            if peak_memory_bytes() > bound_bytes:
                protocol.say(
                    error={
                        "kind": "EngineError",
                        "message": f"stopped at {peak_memory_bytes() >> 20} MiB of resident memory;"
                        f" the bound is {bound_bytes >> 20} MiB: raise it, or take fewer rows",
                    }
                )
                os.killpg(os.getpgrp(), signal.SIGKILL)

    threading.Thread(target=check, name="memory-watch", daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
