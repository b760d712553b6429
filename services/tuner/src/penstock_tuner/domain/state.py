"""Experiments and trials as the log tells them."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from penstock_schemas import ExperimentRequested, TrialStarted

Key = tuple[str, str]
"""Namespace, and the name of an experiment or the id of a job."""


class Phase(Enum):
    """Where an experiment stands."""

    ASKED = "asked"
    """Requested; it has no trial yet."""
    RUNNING = "running"
    COMPLETED = "completed"
    REJECTED = "rejected"


class Status(Enum):
    """Where a trial stands."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    PRUNED = "pruned"


@dataclass(frozen=True, slots=True)
class Trial:
    """A trial: its recorded suggestion is the truth, whatever a sampler would say today."""

    started: TrialStarted
    status: Status = Status.RUNNING
    value: float | None = None
    """Its objective: its result where it succeeded, its last where it was pruned."""

    @property
    def number(self) -> int:
        """Its number in the experiment, from 0."""
        return self.started.number


@dataclass(frozen=True, slots=True)
class Experiment:
    """An experiment and the counts of its trials."""

    namespace: str
    request: ExperimentRequested
    request_id: str
    requested_at: datetime
    phase: Phase = Phase.ASKED
    started: int = 0
    """Trials started so far; the next has this number."""
    succeeded: int = 0
    failed: int = 0
    pruned: int = 0
    best: Trial | None = None
    last_end: datetime | None = None
    """When the last trial ended."""

    @property
    def key(self) -> Key:
        """Namespace and name."""
        return self.namespace, self.request.experiment

    @property
    def running(self) -> int:
        """Trials that have not ended."""
        return self.started - self.succeeded - self.failed - self.pruned

    @property
    def given_up(self) -> bool:
        """Whether so many trials failed that no further one starts."""
        return self.failed > self.request.max_failed_trials


@dataclass(frozen=True, slots=True)
class TrialJob:
    """Which trial a job belongs to."""

    experiment: str
    number: int
    request_id: str | None = None
    """The id of the job's request; None until it is folded (it follows its trial at once)."""


@dataclass
class State:
    """Everything that the tuner decides from."""

    experiments: dict[Key, Experiment] = field(default_factory=dict)
    trials: dict[Key, list[Trial]] = field(default_factory=dict)
    """By experiment, in number order."""
    jobs: dict[Key, TrialJob] = field(default_factory=dict)
    """The trials' jobs, by namespace and job."""
    wishes: set[Key] = field(default_factory=set)
    """Requests for a name that was taken, not answered yet: by namespace and event id."""
