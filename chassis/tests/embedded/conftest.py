from __future__ import annotations

import asyncio
import os
import select
from collections.abc import Awaitable, Callable, Iterator

import pytest

from penstock_chassis.embedded import DataDir


@pytest.fixture
def directory() -> Iterator[DataDir]:
    with DataDir.ephemeral() as directory:
        yield directory


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], Awaitable[None]]:
    """Waits for something that another process does and tells nobody; 10 s at most."""

    async def wait(holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not holds():  # noqa: ASYNC110 - there is no event to wait for
                await asyncio.sleep(0.005)

    return wait


@pytest.fixture
def gone_within() -> Callable[[int, float], bool]:
    """Waits, without polling, until a process that need not be our child has ended."""

    def wait(pid: int, seconds: float) -> bool:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            return True
        try:
            poller = select.poll()
            poller.register(descriptor, select.POLLIN)
            return bool(poller.poll(seconds * 1000))
        finally:
            os.close(descriptor)

    return wait
