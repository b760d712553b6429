"""Waiting for the end of a process that is nobody's child here, by an event."""

from __future__ import annotations

import asyncio
import os
from typing import Final

from penstock_trainer.runner.procfs import is_alive

FALLBACK_POLL_SECONDS: Final = 0.2
"""Where there is no event to wait for: no pidfd, or a runner in another pid namespace."""


async def process_end(pid: int, start_ticks: int) -> None:
    """Return when the process with this pid and start time runs no more. Safe to cancel."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    except OSError:
        while is_alive(pid, start_ticks):  # noqa: ASYNC110 - no event to be had
            await asyncio.sleep(FALLBACK_POLL_SECONDS)
        return
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    try:
        # Only now is the descriptor known to be that process and not a later one of its pid.
        if not is_alive(pid, start_ticks):
            return
        loop.add_reader(descriptor, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(descriptor)
    finally:
        os.close(descriptor)
