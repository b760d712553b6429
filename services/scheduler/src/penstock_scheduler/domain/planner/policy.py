"""The policy: the numbers that a plan follows, and the order that comes of them.

Nobody knows how long a job will run. But jobs that had much service are likely to need much more,
so a job's *standing* is what it had so far, by powers of two, and the lower goes first (attained
service, as Tiresias, NSDI 2019, but without the few queues that collapse under load):

    standing = log2(1 + service / unit)

What waits keeps its standing, so lines stay sorted; what runs rises. A running job gives way only
to one that stands `hysteresis` below it: less, and jobs of equal standing take turns for ever.
"""

from dataclasses import dataclass
from math import log2

DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Policy:
    """Constants of a plan; ADR 11 says how each was chosen."""

    unit_gpu_seconds: float = 60.0
    """Service below which it hardly matters."""
    hysteresis: float = 1.0
    """How far a victim stands above the job that it makes room for."""
    min_run_seconds: float = 300.0
    """No job is preempted or moved before it ran this long."""
    round_seconds: float = 60.0
    """Jobs that should give way are looked for at most this often."""
    aged_seconds: float | None = None
    """A job that waited this long in all goes first and is not preempted any more; None: never.
    Ruinous where more is asked for than there is, for long: then all jobs grow old."""
    probe_gpu_seconds: float = 0.0
    """Service that a job may have before its queue must be owed it; 0: no probe lane."""
    preempts: bool = True
    moves: bool = True
    fair: bool = True
    """Queues that borrow take turns by what they hold, in relation to their weights."""
    attained: bool = True
    """Whether service counts; else the older request goes first."""
    changes_max: int = 200
    """Changes of one plan: it is one atomic append, and the log bounds those."""

    def standing(self, gpu_seconds: float) -> float:
        """The standing of a job that had this much service."""
        return log2(1.0 + gpu_seconds / self.unit_gpu_seconds) if self.attained else 0.0

    def reaches(self, level: int) -> float:
        """The service at which a standing of this many whole levels is reached, GPU-seconds."""
        return self.unit_gpu_seconds * (2.0**level - 1.0)
