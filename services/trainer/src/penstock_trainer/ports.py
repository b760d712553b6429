"""What the trainer needs from the world: a `Launcher`, which runs attempts of jobs.

An attempt is one try at a job, numbered from 1. Promises of every launcher, checked by one
contract suite on the fake and on the real ones:

- An attempt is started at most once ever, however often `start` is called, from however many
  trainers, and wherever a trainer died in between.
- At most one attempt of a job is alive at a time: a later one starts only when all earlier ones
  are proved gone (`NotYetGone` until then), and an earlier one never starts after a later one
  exists (`Superseded`).
- Launchers with the same `identity` share their attempts, and no others do; so an attempt that was
  claimed for one identity is absent for good, or present, wherever that identity is asked.
- Attempts outlive the trainer. After a restart, `observe` and `watch` find them again by their
  id alone; nothing is remembered in the trainer's memory.
- What `observe` says after an end (`exited`, `lost`) never changes again, `reap` included.

Every method may be called again after a crash or a cancellation, with the same effect as once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Any, Final, NamedTuple, Protocol

from penstock_schemas import is_name
from penstock_trainer.errors import InvalidAttempt

RESERVED_PREFIX: Final = "PENSTOCK_"
DEFAULT_GRACE_SECONDS: Final = 30.0
MAX_GRACE_SECONDS: Final = 86_400.0
MAX_RANKS: Final = 64
"""Ranks of one attempt on one node."""


@dataclass(frozen=True, slots=True, order=True)
class AttemptId:
    """Names one attempt of one job. Raises InvalidAttempt for names that are none."""

    namespace: str
    job: str
    attempt: int

    def __post_init__(self) -> None:
        for name in ("namespace", "job"):
            value = getattr(self, name)
            if not is_name(value):
                raise InvalidAttempt(
                    f"{name} {value!r} is not a name: use a-z, 0-9 and '-', at most 63 characters"
                )
        if self.attempt < 1:
            raise InvalidAttempt(f"attempt is {self.attempt}: attempts are numbered from 1")

    def __str__(self) -> str:
        return f"{self.namespace}/{self.job}/{self.attempt}"


@dataclass(frozen=True, slots=True)
class AttemptSpec:
    """One attempt, ready to be started. Raises InvalidAttempt, naming the field.

    - `command`: the program and its arguments; `python` is the launcher's own interpreter.
    - `params`: JSON values, told to the script in `PENSTOCK_PARAMS`.
    - `files`: (path below the working directory, local source), copied before the start.
    - `inputs`: name → local file or folder, told in `PENSTOCK_INPUTS`; verified by the caller.
    - `env`: added to the ranks' environment; names beginning with `PENSTOCK_` are refused.
    - `grace_seconds`: between SIGTERM and SIGKILL, where a stop does not say otherwise.
    - `cpu_threads`: threads of the numeric libraries in each rank; None leaves them alone.
    - `gpu_indices`: the GPUs that the ranks may see; none by default.
    - `ranks`: processes of the group (`PENSTOCK_WORLD_SIZE`); they start and end together.
    """

    namespace: str
    job: str
    attempt: int
    command: tuple[str, ...]
    params: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[tuple[str, Path], ...] = ()
    inputs: Mapping[str, Path] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    grace_seconds: float = DEFAULT_GRACE_SECONDS
    cpu_threads: int | None = None
    gpu_indices: tuple[int, ...] = ()
    ranks: int = 1

    def __post_init__(self) -> None:
        _ = self.id
        if not self.command or not self.command[0]:
            raise InvalidAttempt("command is empty: give the program and its arguments")
        if not (math.isfinite(self.grace_seconds) and 0 <= self.grace_seconds <= MAX_GRACE_SECONDS):
            raise InvalidAttempt(
                f"grace_seconds is {self.grace_seconds}: give 0 to {MAX_GRACE_SECONDS:g} seconds"
            )
        if self.cpu_threads is not None and self.cpu_threads < 1:
            raise InvalidAttempt(f"cpu_threads is {self.cpu_threads}: give 1 or more, or none")
        if not 1 <= self.ranks <= MAX_RANKS:
            raise InvalidAttempt(f"ranks is {self.ranks}: give 1 to {MAX_RANKS}")
        for path, _source in self.files:
            parts = PurePosixPath(path).parts
            if not parts or ".." in parts or path.startswith("/"):
                raise InvalidAttempt(
                    f"files: {path!r} is not a path below the working directory: "
                    "make it relative, without '..'"
                )
        for name, value in self.env.items():
            if name.startswith(RESERVED_PREFIX):
                raise InvalidAttempt(f"env: {name} is the platform's own: choose another name")
            if not name or "=" in name or "\0" in name + value:
                raise InvalidAttempt(f"env: {name!r} cannot be an environment variable")

    @property
    def id(self) -> AttemptId:
        """The attempt's name."""
        return AttemptId(self.namespace, self.job, self.attempt)


class AttemptState(StrEnum):
    """Where an attempt stands."""

    ABSENT = "absent"
    """Not started (or prepared only): `start` is safe and needed."""
    RUNNING = "running"
    EXITED = "exited"
    """Ended, with a record of how; nothing of it runs any more."""
    LOST = "lost"
    """Ended without a record (its runner was killed, the machine restarted); nothing of it runs."""


@dataclass(frozen=True, slots=True)
class RankExit:
    """How one rank ended: an exit code, or the signal that ended it, or why it never began."""

    rank: int
    exit_code: int | None
    signal: int | None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class ExitRecord:
    """How an attempt ended. Times are unix seconds.

    `exit_code` and `signal` are those of the first rank that failed, else of rank 0; both are
    None where the attempt was stopped before it began. `reason` is a sentence for people.
    After a stop request the request decides: exit code 0 is then no success, another no failure.
    """

    attempt: int
    exit_code: int | None
    signal: int | None
    reason: str
    started_at: float
    ended_at: float
    stop_requested: bool
    ranks: tuple[RankExit, ...] = ()

    @property
    def succeeded(self) -> bool:
        """Whether the script ran to its own good end."""
        return self.exit_code == 0 and not self.stop_requested


@dataclass(frozen=True, slots=True)
class Observation:
    """What is known of an attempt now: `record` where it exited, `why` where it was lost.

    A running attempt has a `why` only where its runner is gone and its processes do not die.
    """

    state: AttemptState
    record: ExitRecord | None = None
    why: str | None = None

    @property
    def ended(self) -> bool:
        """Whether it is over for good."""
        return self.state in (AttemptState.EXITED, AttemptState.LOST)


@dataclass(frozen=True, slots=True)
class MetricLine:
    """One report of the script: `time` in unix seconds, finite numbers by metric name."""

    time: float
    step: int | None
    metrics: Mapping[str, float]


class MetricsPage(NamedTuple):
    """Reports since an offset. Ask again from `next_offset`; `refused` says what was unreadable."""

    lines: tuple[MetricLine, ...]
    next_offset: int
    refused: tuple[str, ...] = ()


class LogPage(NamedTuple):
    """Bytes of a rank's output since an offset. Ask again from `next_offset`."""

    data: bytes
    next_offset: int


@dataclass(frozen=True, slots=True)
class Collected:
    """What an ended attempt left behind, for upload. Paths are local and stay until `reap`.

    `result` is the script's JSON object, or None where it wrote none, or none that is valid:
    `result_refused` then says why. `output_dir` is None where nothing is in it.
    """

    result: Mapping[str, Any] | None
    result_refused: str | None
    output_dir: Path | None
    log_paths: tuple[Path, ...]
    checkpoint_dir: Path


class Launcher(Protocol):
    """Runs attempts somewhere. See the module for what every launcher promises."""

    async def identity(self) -> str:
        """Name where attempts are remembered: always the same, and durable at return.

        A new name once that memory is lost: what another life started cannot be known then.
        """
        ...

    async def start(self, spec: AttemptSpec) -> None:
        """Start the attempt unless it was started before, or has ended; return once it is claimed.

        Raises NotYetGone where an earlier attempt is alive, Superseded where a later one exists,
        InvalidAttempt where a file or input is missing, StartFailed where it cannot be started.
        """
        ...

    async def observe(self, attempt: AttemptId) -> Observation:
        """Say where the attempt stands.

        Where its runner is gone without a record, this first kills what the runner left behind,
        and says `lost` only once nothing is left.
        """
        ...

    async def watch(self, attempt: AttemptId) -> Observation:
        """Wait for the end of the attempt and return it; `absent` at once where none was started.

        Safe to cancel, and to call many times at once.
        """
        ...

    async def signal_stop(
        self, attempt: AttemptId, grace_seconds: float | None = None, reason: str = ""
    ) -> None:
        """Ask the attempt to stop: SIGTERM now, SIGKILL to all of it after the grace.

        Returns at once; the end comes through `watch`. Asked again, the more urgent grace holds.
        None means the attempt's own grace. No effect on what is absent or has ended; an attempt
        that is prepared and not yet running ends as stopped, without running the script.
        """
        ...

    async def reap(self, attempt: AttemptId) -> None:
        """Free the disk: the working directory, outputs, logs. What `observe` says is kept.

        Raises NotYetGone where the attempt runs. Checkpoints stay: they belong to the job.
        """
        ...

    async def metrics(self, attempt: AttemptId, offset: int = 0) -> MetricsPage:
        """Return the reports from a byte offset on; a line still being written is left for later.

        Bounded: ask again until `next_offset` stays the same.
        """
        ...

    async def log(self, attempt: AttemptId, offset: int = 0, rank: int = 0) -> LogPage:
        """Return a rank's output from a byte offset on. Bounded like `metrics`."""
        ...

    async def collect(self, attempt: AttemptId) -> Collected:
        """Return what an ended attempt left. Raises NotYetGone where it has not ended."""
        ...

    async def attempts(self) -> tuple[AttemptId, ...]:
        """Return every attempt that this launcher knows of, ended ones included, in order."""
        ...
