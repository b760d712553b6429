"""One life of one service: the gate that every port call passes, and where it can end.

Every call has two points, before and after its effect, under one number. At the planned point the
incarnation dies as by SIGKILL: its tasks are cancelled, the calling one with `SimCrash`, and
whatever its code still tries through a port raises `SimCrash` and has no effect.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import copy_context
from typing import Any, TypeVar

from penstock_chassis.testing.loop import OWNER
from penstock_chassis.testing.simbus.faults import CrashPlan, Faults, Side, SimCrash

T = TypeVar("T")

TRACE_LENGTH_MAX = 200_000


class Trace:
    """What happened in a world, in order: `(virtual second, who, what)`."""

    def __init__(self) -> None:
        self.lines: list[tuple[float, str, str]] = []

    def add(self, who: str, what: str) -> None:
        """Write a line, as long as there is room."""
        if len(self.lines) < TRACE_LENGTH_MAX:
            self.lines.append((asyncio.get_running_loop().time(), who, what))


class Incarnation:
    """A service from one start to its end."""

    def __init__(
        self,
        name: str,
        number: int,
        *,
        faults: Faults,
        chance: random.Random,
        trace: Trace,
        plan: CrashPlan | None = None,
    ) -> None:
        self.name = name
        self.number = number
        self.faults = faults
        self.chance = chance
        self.plan = plan
        self.calls = 0
        """Port calls so far; the number of the last one."""
        self.alive = True
        self.crashed_at = ""
        """The point and the name of the call at which it died."""
        self._trace = trace
        self._who = f"{name}#{number}"
        self._tasks: list[asyncio.Task[Any]] = []
        self._tasks_seen_max = 64

    def __str__(self) -> str:
        return self._who

    def adopt(self, task: "asyncio.Task[Any]") -> None:
        """Every task made in this incarnation's context dies with it."""
        self._tasks.append(task)
        if not self.alive:
            task.cancel()
        if len(self._tasks) > self._tasks_seen_max:
            self._tasks = [task for task in self._tasks if not task.done() or _unseen(task)]
            self._tasks_seen_max = 64 + 2 * len(self._tasks)

    def tasks(self) -> list["asyncio.Task[Any]"]:
        """Its tasks that have not ended, in the order of their making."""
        return [task for task in self._tasks if not task.done()]

    def lost_failures(self) -> list[BaseException]:
        """What its ended tasks raised and nobody ever asked for."""
        return [
            error
            for task in self._tasks
            if task.done() and _unseen(task) and (error := task.exception()) is not None
        ]

    def task(self, main: Any) -> "asyncio.Task[Any]":
        """Start a coroutine as this incarnation's."""
        context = copy_context()
        context.run(OWNER.set, self)
        return asyncio.get_running_loop().create_task(main, context=context)

    def kill(self, at: str = "by the harness") -> None:
        """End it at once, as SIGKILL would."""
        if not self.alive:
            return
        self.alive = False
        self.crashed_at = at
        self._trace.add(self._who, f"died {at}")
        for task in self.tasks():
            task.cancel()

    def enter(self, what: str) -> int:
        """The point before a call's effect; the number of the call."""
        self._must_live(what)
        self.calls += 1
        number = self.calls
        self._trace.add(self._who, what)
        self._point(number, "before", what)
        return number

    def leave(self, number: int, what: str) -> None:
        """The point after a call's effect."""
        self._must_live(what)
        self._point(number, "after", what)

    async def call(self, what: str, effect: Callable[[], T]) -> T:
        """A port call whose effect is one instant somewhere between its two points."""
        number = self.enter(what)
        await self.pause()
        self._must_live(what)
        result = effect()
        await self.pause()
        self.leave(number, what)
        return result

    async def call_async(self, what: str, effect: Callable[[], Awaitable[T]]) -> T:
        """A port call that takes time of its own."""
        number = self.enter(what)
        await self.pause()
        result = await effect()
        self.leave(number, what)
        return result

    async def iterate(self, what: str, source: AsyncIterator[T]) -> AsyncIterator[T]:
        """An iteration each of whose steps is a port call."""
        while True:
            number = self.enter(what)
            await self.pause()
            try:
                item = await anext(source)
            except StopAsyncIteration:
                return
            self.leave(number, what)
            yield item

    async def pause(self) -> None:
        """Let others run; under the fault `delay`, for some time."""
        if self.happens(self.faults.delay / 2):
            await asyncio.sleep(self.chance.uniform(0, self.faults.delay_seconds_max))
        else:
            await asyncio.sleep(0)

    def happens(self, probability: float) -> bool:
        """Draw whether a fault occurs."""
        return probability > 0 and self.chance.random() < probability

    def happened(self, fault: str) -> None:
        """Note that a fault occurred."""
        self._trace.add(self._who, f"fault {fault}")

    def _must_live(self, what: str) -> None:
        if not self.alive:
            raise SimCrash(f"{self._who} is dead and called {what}")

    def _point(self, number: int, side: Side, what: str) -> None:
        if self.plan is not None and self.plan.at == number and self.plan.when == side:
            self.kill(f"{side} {what} (port call {number})")
            raise SimCrash(f"{self._who} died {self.crashed_at}")


def _unseen(task: "asyncio.Task[Any]") -> bool:
    """Whether a task failed and nobody has asked for its failure (asyncio's own mark)."""
    return bool(task._log_traceback)
