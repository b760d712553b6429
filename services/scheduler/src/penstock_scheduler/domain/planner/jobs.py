"""Jobs as the planner sees them: what they ask for, what they had, and where they stand in line.

Times are seconds since 1970. *Service* is measured in GPU-seconds; a job without GPUs is counted
by its cores, `CORES_PER_GPU` of them as one GPU.
"""

from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from penstock_scheduler.domain.planner.quotas import Amount, Key
from penstock_scheduler.domain.planner.shapes import MILLI, Place, Shape

CORES_PER_GPU = 8


class Phase(Enum):
    """Where a live job stands."""

    ASKED = "asked"
    """Requested; neither queued nor refused yet."""
    WAITING = "waiting"
    RUNNING = "running"
    LEAVING = "leaving"
    """It has its place still, and was told to give it up."""
    BETWEEN = "between"
    """Its last attempt is over and was not the last one allowed; it is not queued again yet."""


@dataclass(frozen=True)
class Ask:
    """What a job asks for. Jobs that ask for the same are one class: if one does not fit, none
    does."""

    shape: Shape
    replicas: int = 1
    depth: int | None = None
    """The level of the topology, from 0 for the widest, whose one domain should hold it all."""
    required: bool = False
    """Whether nothing wider will do."""
    priority: int = 0
    """Among the jobs of one queue the higher goes first."""
    preemptible: bool = False
    """It may be told to leave, and be started again later."""

    def __post_init__(self) -> None:
        if self.replicas > 1 and self.shape.gpu_milli:
            raise ValueError("a gang takes whole devices: ask for gpu, not for a share of one")

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        shape = (self.shape, self.replicas, self.depth, self.required)
        return hash((shape, self.priority, self.preemptible))

    @cached_property
    def amount(self) -> Amount:
        """What it holds of its queue."""
        gpu = self.shape.gpu * MILLI + self.shape.gpu_milli
        return Amount(self.shape.cpu_milli * self.replicas, gpu * self.replicas)

    @cached_property
    def gpus(self) -> float:
        """Its size in GPUs, for measuring service."""
        amount = self.amount
        return (amount.gpu or amount.cpu / CORES_PER_GPU) / MILLI


@dataclass(slots=True)
class Job:
    """A live job."""

    key: Key
    queue: Key
    ask: Ask
    asked: int
    """The sequence of its request: its place in line where nothing else decides."""
    submitted: float
    restart_seconds: float = 0.0
    """What a restart costs it, seconds, beside the work since its last checkpoint."""
    phase: Phase = Phase.ASKED
    attempt: int = 0
    places: tuple[Place, ...] = ()
    held: tuple[Place, ...] = ()
    """Places that are held until it can start there."""
    service: float = 0.0
    """GPU-seconds that it had before its present run."""
    since: float = 0.0
    """When its present phase began."""
    saved: float | None = None
    """When its last checkpoint of the present run was stored, if it writes any."""
    waited: float = 0.0
    """Seconds that it waited in all, but for its present wait."""
    level: int = 0
    """Whole part of its standing, as of `World.ripen`."""
    rises_at: float = float("inf")
    """When it reaches the next, while it runs."""

    def served(self, now: float) -> float:
        """GPU-seconds that it had until now."""
        if self.phase in (Phase.RUNNING, Phase.LEAVING):
            return self.service + max(0.0, now - self.since) * self.ask.gpus
        return self.service

    def unsaved(self, now: float) -> float:
        """Seconds of its run that are lost where it is ended now. A job that writes checkpoints
        is believed to write none when it is told to leave; one that never wrote any is believed,
        because it is declared preemptible."""
        return 0.0 if self.saved is None else max(0.0, now - self.saved)

    @property
    def node(self) -> str:
        """Its first node; empty where it has no place."""
        return self.places[0].node if self.places else ""
