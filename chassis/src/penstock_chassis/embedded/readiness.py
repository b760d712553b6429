"""Waits until a child answers, or says at once why it never will."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from penstock_chassis.embedded.errors import NotReadyError
from penstock_chassis.embedded.process import ManagedProcess

POLL_SECONDS = 0.01


async def until_ready(
    process: ManagedProcess,
    answers: Callable[[], Awaitable[bool]],
    *,
    timeout_seconds: float,
    poll_seconds: float = POLL_SECONDS,
) -> None:
    """Ask `answers` until it says yes. On failure the child is stopped.

    Raises NotReadyError, with the child's last log lines, once it ends for good or at the deadline.
    """
    failed = asyncio.ensure_future(process.failed())
    polling = asyncio.ensure_future(_poll(answers, poll_seconds))
    try:
        await asyncio.wait(
            {failed, polling}, timeout=timeout_seconds, return_when=asyncio.FIRST_COMPLETED
        )
        if polling.done():
            return polling.result()
    finally:
        for task in (failed, polling):
            task.cancel()
    reason = (
        str(failed.result())
        if failed.done()
        else f"{process.name} did not answer within {timeout_seconds:g} s; its last words:\n"
        f"{process.log_tail()}"
    )
    await process.stop()
    raise NotReadyError(reason, hint=f"its whole log is {process.log_path}")


async def _poll(answers: Callable[[], Awaitable[bool]], poll_seconds: float) -> None:
    while not await answers():  # noqa: ASYNC110 - the child can only be asked, it tells nothing
        await asyncio.sleep(poll_seconds)
