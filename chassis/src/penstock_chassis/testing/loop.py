"""An event loop in virtual time whose scheduling is a function of one seed.

Nothing here waits: when no callback is ready, the clock jumps to the next timer. Which of the
ready callbacks runs next is drawn from a seeded generator, so that one seed is one interleaving
and many seeds are many. `asyncio.sleep`, `timeout`, `wait_for`, `Event`, `Queue`, `to_thread`
(run at once, in the loop) work; sockets, child processes and signals do not exist here.

Guarantees: the same seed and the same coroutine give the same schedule; a program that waits for
what can never come ends in `DeadlockError` with the tasks that wait; virtual time and the number of
steps are bounded.
"""

import asyncio
import heapq
import random
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from contextvars import Context, ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""The virtual time at which every simulation begins."""
VIRTUAL_SECONDS_MAX = 24 * 3600.0
STEPS_MAX = 2_000_000
"""Callbacks that one run may execute."""
CLOSING_STEPS_MAX = 100_000
"""Callbacks that cancelled tasks may still need after the end of a run."""
TASKS_LISTED_MAX = 20


class SimulationError(Exception):
    """The simulation could not go on."""


class DeadlockError(SimulationError):
    """Nothing is ready, no timer is set, and the main coroutine has not ended."""


class LimitReachedError(SimulationError):
    """A run took more virtual time or more steps than it may."""


class TaskOwner(Protocol):
    """Who is told of every task made in its context (see `OWNER`)."""

    def adopt(self, task: "asyncio.Task[Any]") -> None:
        """Take note of a new task."""
        ...


OWNER: ContextVar[TaskOwner | None] = ContextVar("penstock_sim_owner", default=None)
"""The owner of the tasks made in this context; tasks inherit it from the task that made them."""


class SimLoop(asyncio.BaseEventLoop):
    """The loop. `seed` None keeps asyncio's own order (first ready, first run)."""

    _ready: list[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]
    _timer_cancelled_count: int

    def __init__(
        self,
        seed: int | None = 0,
        limit_seconds: float = VIRTUAL_SECONDS_MAX,
        steps_max: int = STEPS_MAX,
    ) -> None:
        super().__init__()
        self._ready = []
        self._random = random.Random(seed) if seed is not None else None
        self._now = 0.0
        self._limit_seconds = limit_seconds
        self._steps_left = steps_max
        # Tasks of the dead fail in ways that nobody asks for; what counts is asked of the living.
        self.set_exception_handler(lambda _, context: None)
        self.set_task_factory(_owned_task)

    def time(self) -> float:
        """Virtual seconds since the start."""
        return self._now

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """As `call_soon`: there are no other threads here."""
        return self.call_soon(callback, *args, context=context)

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> "asyncio.Future[T]":
        """Run `func` at once, in the loop: a blocking call takes no virtual time."""
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - it belongs to whoever awaits the future
            future.set_exception(error)
        return future

    def allow_closing(self) -> None:
        """Let cancelled tasks end after a limit was reached."""
        self._steps_left = CLOSING_STEPS_MAX
        self._limit_seconds = float("inf")

    def _run_once(self) -> None:
        """Run one ready callback, after jumping to the next timer where none is ready."""
        while self._scheduled and self._scheduled[0]._cancelled:
            self._forget(heapq.heappop(self._scheduled))
        ready = self._ready
        if not ready and not self._stopping:  # type: ignore[attr-defined]
            self._jump()
        while self._scheduled and self._scheduled[0].when() <= self._now:
            timer = heapq.heappop(self._scheduled)
            if timer._cancelled:
                self._forget(timer)
            else:
                timer._scheduled = False  # type: ignore[attr-defined]
                ready.append(timer)
        if not ready:
            return
        self._steps_left -= 1
        if self._steps_left < 0:
            raise LimitReachedError(
                f"too many steps at virtual second {self._now:.3f}; {self._waiting()}"
            )
        handle = self._draw()
        if not handle._cancelled:
            handle._run()

    def _draw(self) -> asyncio.Handle:
        ready = self._ready
        if self._random is None:
            return ready.pop(0)
        last = len(ready) - 1
        if last:
            chosen = int(self._random.random() * (last + 1))
            ready[chosen], ready[last] = ready[last], ready[chosen]
        return ready.pop()

    def _forget(self, timer: asyncio.TimerHandle) -> None:
        timer._scheduled = False  # type: ignore[attr-defined]
        self._timer_cancelled_count -= 1

    def _jump(self) -> None:
        if not self._scheduled:
            raise DeadlockError(f"nothing can ever happen again; {self._waiting()}")
        when = self._scheduled[0].when()
        if when > self._limit_seconds:
            raise LimitReachedError(
                f"virtual time would pass {self._limit_seconds} seconds; {self._waiting()}"
            )
        self._now = max(self._now, when)

    def _waiting(self) -> str:
        tasks = sorted(asyncio.all_tasks(self), key=lambda task: task.get_name())
        lines = [f"\n  {task.get_name()}: {_place(task)}" for task in tasks[:TASKS_LISTED_MAX]]
        return f"{len(tasks)} tasks are pending:" + "".join(lines)

    def _process_events(self, event_list: Any) -> None:
        raise NotImplementedError("there is no input or output in a simulation")

    def _write_to_self(self) -> None:
        """Nobody sleeps, so nobody needs waking."""


class SimClock:
    """The `Clock` of a simulation: `EPOCH` plus the loop's time."""

    def now(self) -> datetime:
        """The present in virtual time, UTC."""
        return EPOCH + timedelta(seconds=asyncio.get_running_loop().time())


def run(
    main: Coroutine[Any, Any, T],
    *,
    seed: int | None = 0,
    limit_seconds: float = VIRTUAL_SECONDS_MAX,
    steps_max: int = STEPS_MAX,
) -> T:
    """Run a coroutine to its end in virtual time.

    Raises what the coroutine raises, `DeadlockError`, or `LimitReachedError` (virtual seconds or
    steps).
    """
    loop = SimLoop(seed, limit_seconds, steps_max)
    try:
        return loop.run_until_complete(main)
    finally:
        _close(loop)


def _close(loop: SimLoop) -> None:
    loop.allow_closing()
    try:
        tasks = sorted(asyncio.all_tasks(loop), key=lambda task: task.get_name())
        for task in tasks:
            task.cancel()
        if tasks:
            loop.run_until_complete(asyncio.wait(tasks))
        for task in tasks:
            if not task.cancelled():
                task.exception()  # mark it as seen: the run's own outcome is what counts
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()


def _owned_task(loop: Any, coroutine: Any, **options: Any) -> "asyncio.Task[Any]":
    task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=loop, **options)
    context = options.get("context")
    owner = OWNER.get() if context is None else context.get(OWNER)
    if owner is not None:
        owner.adopt(task)
    return task


def _place(task: "asyncio.Task[Any]") -> str:
    """Where a task waits: its innermost frame that asyncio shows, and its coroutine."""
    coroutine: Any = task.get_coro()
    chain = []
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "ag_frame", None)
        if frame is not None:
            chain.append(f"{frame.f_code.co_qualname}:{frame.f_lineno}")
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "ag_await", None)
    return " > ".join(chain) or repr(task)
