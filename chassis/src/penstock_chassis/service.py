"""What a service is, and how one runs on any set of ports.

A service is a value: a name, its folds, its handlers `on_<event>` and its background work. The
same value runs on the real bus (under FastStream, see `penstock_chassis.runtime`) and on the
simulated one. Start order: folds catch up with the log, background work starts, messages flow.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from penstock_chassis.consumer import ConsumerLoop, Dispatch
from penstock_chassis.deaths import Deaths
from penstock_chassis.dispatch import Dispatcher
from penstock_chassis.fold import Fold
from penstock_chassis.message import Recorded
from penstock_chassis.metrics import FOLD_POSITION
from penstock_chassis.ports import ConsumerSpec, Ports
from penstock_chassis.settings import ServiceSettings
from penstock_schemas import Event, filter_of

Handler = Callable[[Recorded], Awaitable[None]]
Background = Callable[[], Awaitable[None]]

T = TypeVar("T", bound=ServiceSettings)


@dataclass(frozen=True)
class Service:
    """A service, built and not yet running.

    `serial` says what is handled one at a time: the messages of one aggregate, or all. A
    `background` coroutine runs from start to stop; if it returns or fails, the service fails.
    `close` runs once, after everything has stopped.
    """

    name: str
    handlers: Mapping[type[Event], Handler] = field(default_factory=dict)
    folds: Sequence[Fold[Any]] = ()
    background: Sequence[Background] = ()
    serial: Literal["aggregate", "all"] = "aggregate"
    concurrency: int = 16
    lease_seconds: float = 30.0
    close: Background | None = None

    @property
    def filters(self) -> tuple[str, ...]:
        """The subject filters of what it handles."""
        return tuple(sorted(filter_of(type=event.type) for event in self.handlers))

    def __post_init__(self) -> None:
        covered = {noun for fold in self.folds for noun in fold.nouns}
        for event in self.handlers:
            if event.noun() not in covered:
                raise ValueError(
                    f"service {self.name} handles {event.type} but folds {sorted(covered)}: "
                    f"a fold must follow the noun {event.noun()!r}"
                )


@dataclass(frozen=True)
class ServiceSpec(Generic[T]):
    """What the entry point `penstock.services` names: how to make the service.

    `isolated` services run in a process of their own (heavy imports, or people's code).
    """

    name: str
    settings: type[T]
    build: Callable[[T, Ports], Service]
    summary: str
    isolated: bool = False


class ServiceRunner:
    """Runs one service on its ports until it is drained or fails."""

    def __init__(self, service: Service, ports: Ports) -> None:
        self.service = service
        self.ports = ports
        self.dispatcher = Dispatcher(service.name, service.handlers, ports)
        self._dispatch: Dispatch = self.dispatcher.dispatch
        self._loop: ConsumerLoop | None = None
        self._stopping = asyncio.Event()
        self.ready = asyncio.Event()
        """Set when the folds have caught up and messages flow."""

    def through(self, dispatch: Dispatch) -> None:
        """Hand deliveries to this instead, which leads back to `dispatcher` (a front)."""
        self._dispatch = dispatch

    async def run(self) -> None:
        """Run until `drain` or cancellation. Raises what a fold or background work raised."""
        tasks: list[asyncio.Task[Any]] = [
            asyncio.create_task(fold.follow(self.ports.log)) for fold in self.service.folds
        ]
        try:
            await self._caught_up(tasks)
            if self.service.folds:
                # The first: a further fold of rare nouns stands still while those rest.
                first = self.service.folds[0]
                FOLD_POSITION.labels(self.service.name).set_function(lambda: first.position)
            tasks += [asyncio.create_task(_forever(work)) for work in self.service.background]
            if self.service.handlers:
                subscription = await self.ports.consumers.open(
                    ConsumerSpec(
                        self.service.name,
                        self.service.filters,
                        lease_seconds=self.service.lease_seconds,
                        in_flight_max=max(256, 2 * self.service.concurrency),
                    )
                )
                self._loop = ConsumerLoop(
                    self.service.name,
                    subscription,
                    self._dispatch,
                    self.ports.dead_letters,
                    serial=self.service.serial,
                    concurrency=self.service.concurrency,
                    lease_seconds=self.service.lease_seconds,
                    deaths=Deaths(self.service.name, self.ports.kv),
                )
                tasks.append(asyncio.create_task(self._loop.run()))
            self.ready.set()
            stop = asyncio.create_task(self._stopping.wait())
            tasks.append(stop)
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self.ready.clear()
            if self._loop is not None and self._stopping.is_set():
                await self._loop.drain()
            await _cancel(tasks)
            if self.service.close is not None:
                await self.service.close()

    async def drain(self) -> None:
        """Take no further messages, finish those in hand, then let `run` return."""
        self._stopping.set()

    async def _caught_up(self, following: Sequence[asyncio.Task[Any]]) -> None:
        for fold in self.service.folds:
            target = await self.ports.log.head(fold.filters)
            reached = asyncio.create_task(fold.reach(target))
            done, _ = await asyncio.wait([reached, *following], return_when=asyncio.FIRST_COMPLETED)
            if reached not in done:
                await _cancel([reached])
            for task in done:
                task.result()


async def _forever(work: Background) -> None:
    await work()
    raise RuntimeError(f"background work {getattr(work, '__qualname__', work)} ended by itself")


async def _cancel(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError, Exception):
            await task
