"""A function that is called with each event of some types, again where it fails."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from penstock.client.aio.effects import Handler, call, sleep
from penstock.client.matching import type_matches
from penstock.client.records import RecordedEvent
from penstock.client.timing import pause_seconds

HANDLER_TRIES_MAX = 8
"""With the pauses between them about 10 s; then the worker stops rather than skip the event."""

log = logging.getLogger("penstock.worker")


class AsyncWorker:
    """One registered function."""

    def __init__(self, handler: Handler, types: Sequence[str]) -> None:
        self.handler = handler
        self.types = types

    async def handle(self, event: RecordedEvent) -> None:
        """Call the function if the event is one of its types; raises what its last try raised."""
        if not type_matches(event.type, self.types):
            return
        for tries in range(1, HANDLER_TRIES_MAX + 1):
            try:
                await call(self.handler, event)
            except Exception as error:
                name = getattr(self.handler, "__name__", repr(self.handler))
                log.warning("%s failed on %s %s: %r", name, event.type, event.id, error)
                if tries == HANDLER_TRIES_MAX:
                    raise
                await sleep(pause_seconds(tries))
            else:
                return
