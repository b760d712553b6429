"""A scenario: services in a simulated world, what is asked of them, and one run of it all."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog

from penstock_chassis.message import Draft, Recorded, read_recorded, to_message
from penstock_chassis.ports import DeadLetter, Message, StoredMessage
from penstock_chassis.service import Service, ServiceRunner
from penstock_chassis.testing.loop import SimClock, run
from penstock_chassis.testing.simbus import NO_FAULTS, CrashPlan, Faults, SimPorts, SimWorld
from penstock_chassis.testing.simbus.incarnation import Incarnation
from penstock_schemas import Event, SchemaError, derived_id

NAMESPACE = "default"
CLIENT = "penstock/simulated-client"
POLL_SECONDS = 0.25
"""How often, in virtual time, a run looks whether it is over."""
SETTLE_SECONDS = 5.0
LIMIT_SECONDS = 3600.0
RESTART_SECONDS = 0.5
"""Between the death of a service and its next start."""
STOP_SECONDS_MAX = 60.0
STARTS_MAX = 50
"""Starts of one service in one run, whatever ends it each time."""
ENDING_ROUNDS_MAX = 100

Build = Callable[[SimPorts], Service]
Setup = Callable[[SimWorld], Mapping[str, Build]]
Predicate = Callable[[Sequence[Recorded]], bool]


class ScenarioError(AssertionError):
    """The run itself went wrong: it never came to rest, or a service could not live or stop."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Between two wishes: wait in virtual time."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Until:
    """Between two wishes: wait until the log is so."""

    predicate: Predicate


class SimLog(list[Recorded]):
    """The log at the end of a run: its readable events, and what else the run left behind."""

    def __init__(self, world: SimWorld) -> None:
        super().__init__()
        self.world = world
        self.unreadable: list[StoredMessage] = []
        """Messages of the log that are no events."""
        self.calls: dict[str, int] = {}
        """By service: the port calls of its first life."""
        self.crashes: list[str] = []
        """Where services died by plan."""
        self.lost_failures: list[BaseException] = []
        """What tasks of services raised and nobody asked for."""
        self.virtual_seconds = 0.0
        for stored in world.stored():
            try:
                self.append(read_recorded(stored))
            except SchemaError:
                self.unreadable.append(stored)

    @property
    def dead_letters(self) -> list[DeadLetter]:
        """The dead letters, oldest first."""
        letters = self.world.dead_letters
        return [letters[position] for position in sorted(letters)]


@dataclass(frozen=True)
class Scenario:
    """What happens in every run, whatever the seed, the faults and the crash.

    `setup` is called once a run with the fresh world and says how to build each service; it also
    makes the world's own actors there. `publish` is said by a client that no fault reaches: an
    `Event` goes to the namespace `default`, a `Draft` to its own, a `Message` as it is.

    A run is over when every service is ready, every consumer has acknowledged everything, nothing
    has happened for `settle_seconds` (so it must exceed the longest silent wait of the world's
    actors) and `until` holds. It fails after `limit_seconds`. All in virtual time.
    """

    setup: Setup
    publish: Sequence[Event | Draft | Message | Pause | Until] = ()
    until: Predicate = field(default=lambda log: True)
    settle_seconds: float = SETTLE_SECONDS
    limit_seconds: float = LIMIT_SECONDS
    restart_seconds: float = RESTART_SECONDS

    def run(
        self,
        seed: int = 0,
        *,
        faults: Faults = NO_FAULTS,
        crashes: Mapping[str, CrashPlan] | None = None,
    ) -> SimLog:
        """One run; `crashes` says where the first life of which service ends.

        Raises `ScenarioError` (an `AssertionError`), or what a service raised where no fault and
        no crash excuses it.
        """
        world = SimWorld(seed, faults)
        play = _Play(self, world, dict(crashes or {}))
        with quiet_logs():
            log = run(play.main(), seed=seed)
        if log.lost_failures and not _excused(faults):
            error = log.lost_failures[0]
            raise ScenarioError(f"a task failed and nobody noticed: {error!r}") from error
        return log


class _Play:
    """One run of a scenario."""

    def __init__(self, scenario: Scenario, world: SimWorld, crashes: dict[str, CrashPlan]) -> None:
        self._scenario = scenario
        self._world = world
        self._crashes = crashes
        self._runners: dict[str, ServiceRunner] = {}
        self._services = 0
        self._stopping = False
        self._seen: tuple[int, bool] = (-1, False)

    async def main(self) -> SimLog:
        builds = self._scenario.setup(self._world)
        self._services = len(builds)
        lives = [asyncio.create_task(self._live(name, builds[name])) for name in builds]
        client = asyncio.create_task(self._publish())
        rest = asyncio.create_task(self._rest(client))
        try:
            await asyncio.wait([rest, *lives], return_when=asyncio.FIRST_COMPLETED)
            for task in lives:
                if task.done():
                    task.result()
                    raise ScenarioError("a service ended by itself")
            rest.result()
            await self._stop(lives)
        finally:
            for task in (client, rest, *lives):
                task.cancel()
        return self._report()

    async def _live(self, name: str, build: Build) -> None:
        """Start a service again and again until it is drained."""
        for start in range(STARTS_MAX):
            plan = self._crashes.get(name) if start == 0 else None
            life = self._world.start(name, plan)
            task = life.task(self._serve(name, build, self._world.ports(life)))
            await asyncio.wait([task])
            await _ended(life)
            if life.alive:
                error = None if task.cancelled() else task.exception()
                if error is None and self._stopping:
                    return
                if error is None or not _excused(self._world.faults):
                    raise error or ScenarioError(f"service {name} ended by itself")
                life.kill(f"by {error!r}")
            if self._stopping:
                return
            await asyncio.sleep(self._scenario.restart_seconds)
        raise ScenarioError(f"service {name} died {STARTS_MAX} times; last {life.crashed_at}")

    async def _serve(self, name: str, build: Build, ports: SimPorts) -> None:
        runner = ServiceRunner(build(ports), ports)
        self._runners[name] = runner
        await runner.run()

    async def _publish(self) -> None:
        for number, item in enumerate(self._scenario.publish):
            await asyncio.sleep(0)
            if isinstance(item, Pause):
                await asyncio.sleep(item.seconds)
            elif isinstance(item, Until):
                while not item.predicate(SimLog(self._world)):
                    await self._world.events.grown.wait()
            elif isinstance(item, Message):
                self._world.append(item)
            else:
                draft = item if isinstance(item, Draft) else Draft(item, NAMESPACE)
                self._world.append(_wish(draft, number))

    async def _rest(self, client: "asyncio.Task[None]") -> None:
        """Return when the run is over."""
        now = asyncio.get_running_loop().time
        seen, since = self._world.activity, now()
        while True:
            await asyncio.sleep(POLL_SECONDS)
            if client.done():
                client.result()
            if (activity := self._world.activity) != seen:
                seen, since = activity, now()
            quiet = client.done() and self._all_ready() and not self._world.busy()
            if quiet and now() - since >= self._scenario.settle_seconds and self._holds():
                return
            if now() > self._scenario.limit_seconds:
                raise ScenarioError(
                    f"not at rest after {self._scenario.limit_seconds} virtual seconds: "
                    + "; ".join(
                        [
                            *self._world.busy(),
                            f"all services are ready: {self._all_ready()}",
                            f"`until` holds: {self._holds()}",
                        ]
                    )
                )

    def _all_ready(self) -> bool:
        """Whether every service is up: one that starts may still have everything to do."""
        runners = self._runners.values()
        return len(runners) == self._services and all(runner.ready.is_set() for runner in runners)

    def _holds(self) -> bool:
        """Whether `until` holds; asked anew only where the log has grown."""
        length = self._world.events.last
        if self._seen[0] != length:
            self._seen = (length, self._scenario.until(SimLog(self._world)))
        return self._seen[1]

    async def _stop(self, lives: Sequence["asyncio.Task[None]"]) -> None:
        self._stopping = True
        for runner in list(self._runners.values()):
            await runner.drain()
        _, pending = await asyncio.wait(lives, timeout=STOP_SECONDS_MAX)
        if pending:
            raise ScenarioError(f"a service did not stop within {STOP_SECONDS_MAX} seconds")
        for task in lives:
            task.result()

    def _report(self) -> SimLog:
        log = SimLog(self._world)
        for life in self._world.incarnations:
            log.calls.setdefault(life.name, life.calls)
            if life.crashed_at:
                log.crashes.append(f"{life} died {life.crashed_at}")
            else:
                log.lost_failures += life.lost_failures()
        log.virtual_seconds = asyncio.get_running_loop().time()
        return log


def _wish(draft: Draft, number: int) -> Message:
    id = derived_id("simulated client", str(draft.event.subject(draft.namespace)), number)
    now = SimClock().now()
    return to_message(draft, source=CLIENT, cause=None, id=id, now=now, guard=None)


def _excused(faults: Faults) -> bool:
    """Whether a service may end by an exception: where the world withholds answers."""
    return any(
        (
            faults.lose_publish_answer,
            faults.late_publish,
            faults.refuse_publish,
            faults.refuse_read,
        )
    )


async def _ended(life: Incarnation) -> None:
    """Wait until no task of a life is left; cancel those that stay behind."""
    for _ in range(ENDING_ROUNDS_MAX):
        tasks = life.tasks()
        if not tasks:
            return
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=1.0)
        for task in tasks:
            if task.done() and not task.cancelled():
                task.exception()  # it died with its process; nobody will ask
    raise ScenarioError(f"{life}: tasks refuse to be cancelled: {life.tasks()}")


@contextmanager
def quiet_logs() -> Iterator[None]:
    """No log lines from services: thousands of runs say nothing that a seed does not."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)
