"""Waking everybody who waits for a change."""

import asyncio


class Signal:
    """Futures to wake at the next change. Waking is spurious for some: waiters look again."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []

    def set(self) -> None:
        """Wake all who wait now."""
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def wait(self, until: float | None = None) -> None:
        """Wait for the next `set`, at most until the loop's time `until`."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._waiting.append(future)
        timer = loop.call_at(until, _wake, future) if until is not None else None
        try:
            await future
        finally:
            if timer is not None:
                timer.cancel()


def _wake(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
