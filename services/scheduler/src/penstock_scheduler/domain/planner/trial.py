"""Changes that are tried on the world and taken back: how a plan sees what it decided so far."""

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

from penstock_scheduler.domain.planner.jobs import Job, Phase
from penstock_scheduler.domain.planner.shapes import Place
from penstock_scheduler.domain.planner.world import World


class Trial:
    """Does to the world what a plan decides; at the end of the block all of it is undone."""

    def __init__(self, world: World, now: float) -> None:
        self.world = world
        self.now = now
        self._undo: list[Callable[[], None]] = []

    def __enter__(self) -> "Trial":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.back_to(0)

    def mark(self) -> int:
        """Where we are, to come back to."""
        return len(self._undo)

    def back_to(self, mark: int) -> None:
        """Undo everything since the mark."""
        while len(self._undo) > mark:
            self._undo.pop()()

    def start(self, job: Job, places: Sequence[Place]) -> tuple[Place, ...]:
        """The waiting job starts; its places with their devices."""
        world, before, rank, held = self.world, _fields(job), self.world.rank_of(job), job.held
        world.start(job, places, self.now)

        def undo() -> None:
            world.unwatch(job)
            world.capacity.give(job.key, job.places)
            world.quotas.hold(job.queue, job.ask.amount, -1)
            _restore(job, before)
            world.join(job, rank)
            if held:
                world.hold(job, held)

        self._undo.append(undo)
        return job.places

    def vacate(self, job: Job) -> None:
        """The running job is gone."""
        world, before, places = self.world, _fields(job), job.places
        world.unwatch(job)
        world.capacity.give(job.key, places)
        world.quotas.hold(job.queue, job.ask.amount, -1)
        job.phase, job.places = Phase.BETWEEN, ()

        def undo() -> None:
            world.capacity.take(job.key, job.ask.shape, places)
            world.quotas.hold(job.queue, job.ask.amount, +1)
            _restore(job, before)
            world.file(job)

        self._undo.append(undo)

    def leave(self, job: Job) -> None:
        """The running job is told to leave."""
        world, before = self.world, _fields(job)
        world.leave(job, self.now)

        def undo() -> None:
            world.capacity.leave(job.key, job.places, leaving=False)
            _restore(job, before)
            world.file(job)

        self._undo.append(undo)

    def hold(self, job: Job, places: Sequence[Place]) -> None:
        """Places are held for the job."""
        world, old = self.world, job.held
        world.hold(job, places)

        def undo() -> None:
            world.unhold(job)
            if old:
                world.hold(job, old)

        self._undo.append(undo)

    def park(self, job: Job) -> None:
        """The job's places are settled: it is not looked at again in this pass."""
        world, rank = self.world, self.world.rank_of(job)
        world.withdraw(job)

        def undo() -> None:
            job.phase = Phase.WAITING
            world.join(job, rank)

        self._undo.append(undo)


_FIELDS = ("phase", "service", "since", "waited", "level", "rises_at", "places")
"""What changes of a job by a change of its place."""


def _fields(job: Job) -> tuple[Any, ...]:
    return tuple(getattr(job, name) for name in _FIELDS)


def _restore(job: Job, fields: tuple[Any, ...]) -> None:
    for name, value in zip(_FIELDS, fields, strict=True):
        setattr(job, name, value)
