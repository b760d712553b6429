"""The child of `FeastEngine`: reads one request, says progress and one answer, ends.

Standard output is the protocol (one JSON object a line: `progress`, `result` or `error`); whatever
Feast or the repository prints goes to standard error. It ends by itself when its parent dies and
when its resident memory passes the bound.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

from penstock_chassis.child_process import Protocol, peak_memory_bytes, watch_parent
from penstock_features.adapters.feast_run import materialize
from penstock_features.domain.materialization import MaterializeRequest
from penstock_features.errors import FeaturesError

MEMORY_CHECK_SECONDS = 0.1


def main() -> int:
    """Answer the request on standard input."""
    protocol = Protocol()
    message = protocol.request()
    request = MaterializeRequest.from_json(message["request"])
    watch_parent()
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
