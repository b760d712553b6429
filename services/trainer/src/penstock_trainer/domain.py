"""Jobs as the trainer sees them: which attempt is current, and how each one may end. Pure."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from penstock_chassis.message import Cause, Recorded
from penstock_schemas import (
    Event,
    JobCancelled,
    JobCancelRequested,
    JobFailed,
    JobPlaced,
    JobPreempted,
    JobQueued,
    JobRejected,
    JobRequested,
    JobStarted,
    JobSucceeded,
    ObjectRef,
)

REASON_LENGTH_MAX = 1024
"""Characters of a reason, as the contract allows."""
SILENCE_SECONDS = 60.0
"""After the grace of a cancelled job: how long the trainer that claimed it may say nothing."""


@dataclass(frozen=True, slots=True)
class Job:
    """One job. Attempts are numbers from 1; 0 means that there was none."""

    request: JobRequested
    request_id: str
    """The id of the event that asked for it."""
    queued: bool = False
    refused: bool = False
    placed: JobPlaced | None = None
    placed_cause: Cause | None = None
    started_attempt: int = 0
    started_cause: Cause | None = None
    started_trainer: str = ""
    """Who claimed it; empty in logs of before trainers had an identity."""
    failed_attempt: int = 0
    cancel_reason: str = ""
    cancel_cause: Cause | None = None
    cancel_time: datetime | None = None
    preempted_attempt: int = 0
    preempted_reason: str = ""
    ended: bool = False

    @property
    def attempt(self) -> int:
        """The attempt that may report now, 0 where none may."""
        if self.ended or self.placed is None or self.placed.attempt <= self.failed_attempt:
            return 0
        return self.placed.attempt

    @property
    def place(self) -> str:
        """The node of its newest attempt; empty where it has none."""
        return self.placed.node if self.placed is not None else ""

    @property
    def claimed(self) -> bool:
        """Whether the current attempt was claimed by `job.started`."""
        return 0 < self.attempt == self.started_attempt

    @property
    def waiting(self) -> bool:
        """Whether the current attempt waits for a trainer of its node to claim it."""
        return self.attempt > 0 and not self.claimed

    @property
    def stop_reason(self) -> str:
        """Why the current attempt should stop; empty where it should not."""
        if self.cancel_reason:
            return self.cancel_reason
        return self.preempted_reason if 0 < self.preempted_attempt == self.attempt else ""


@dataclass
class State:
    """Every job by (namespace, job), and which of them have an attempt now: one that is claimed,
    or one that waits to be."""

    jobs: dict[tuple[str, str], Job] = field(default_factory=dict)
    claimed: set[tuple[str, str]] = field(default_factory=set)
    waiting: set[tuple[str, str]] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended. `permanent`: trying again cannot help."""

    succeeded: bool
    reason: str = ""
    exit_code: int | None = None
    log_tail: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    output: ObjectRef | None = None
    seconds: float = 0.0
    permanent: bool = False


def evolve(state: State, recorded: Recorded) -> State:
    """The state after one event of a job."""
    event = recorded.event
    key = (recorded.namespace, event.id)
    job = state.jobs.get(key)
    if isinstance(event, JobRequested):
        if job is None or job.refused:  # as the scheduler has it: a refused id may be used again
            state.jobs[key] = Job(event, recorded.id)
    elif job is not None:
        after = state.jobs[key] = _after(job, event, recorded)
        for keys, holds in ((state.claimed, after.claimed), (state.waiting, after.waiting)):
            if holds:
                keys.add(key)
            else:
                keys.discard(key)
    return state


def _after(job: Job, event: Event, recorded: Recorded) -> Job:  # noqa: PLR0911 - a case an event
    match event:
        case JobPlaced() if job.placed is None or event.attempt > job.placed.attempt:
            return replace(job, placed=event, placed_cause=recorded.cause)
        case JobStarted() if event.attempt > job.started_attempt:
            return replace(
                job,
                started_attempt=event.attempt,
                started_cause=recorded.cause,
                started_trainer=event.trainer or "",
            )
        case JobFailed():
            failed = max(job.failed_attempt, event.attempt)
            return replace(job, failed_attempt=failed, ended=job.ended or event.final)
        case JobCancelRequested() if job.cancel_cause is None:
            return replace(
                job,
                cancel_reason=event.reason,
                cancel_cause=recorded.cause,
                cancel_time=recorded.time,
            )
        case JobPreempted():
            return replace(job, preempted_attempt=event.attempt, preempted_reason=event.reason)
        case JobSucceeded() | JobCancelled():
            return replace(job, ended=True)
        case JobQueued():
            return replace(job, queued=True)
        case JobRejected() if not job.queued and event.request == job.request_id:
            return replace(job, ended=True, refused=True)  # others' refusals are not its end
    return job


def current(state: State, namespace: str, name: str, attempt: int) -> Job | None:
    """The job, where this is the attempt that may report; else None."""
    job = state.jobs.get((namespace, name))
    return job if job is not None and 0 < job.attempt == attempt else None


def decide_claim(state: State, message: Recorded, trainer: str) -> list[Event]:
    """Claim a placed attempt for `trainer`, once; where a stop was asked for, end it instead."""
    placed = message.event
    assert isinstance(placed, JobPlaced)
    if current(state, message.namespace, placed.job, placed.attempt) is None:
        return []
    return decide_waiting(state, message.namespace, placed.job, trainer)


def decide_waiting(state: State, namespace: str, name: str, trainer: str) -> list[Event]:
    """The same for the job's current attempt, whichever message told of it."""
    job = state.jobs.get((namespace, name))
    if job is None or job.placed is None or not job.waiting:
        return []
    if job.stop_reason:
        return [_stopped(job)]
    return [JobStarted(job=name, attempt=job.attempt, node=job.place, trainer=trainer)]


def decide_stop(state: State, message: Recorded) -> list[Event]:
    """End a placed attempt that was asked to stop and never claimed: nothing runs."""
    job = state.jobs.get((message.namespace, message.event.id))
    if job is None or not job.waiting or not job.stop_reason:
        return []
    return [_stopped(job)]


def is_abandoned(job: Job, now: datetime) -> bool:
    """Whether a cancelled job should have ended long ago, so that its trainer must be gone."""
    if not job.claimed or not job.cancel_reason or job.cancel_time is None:
        return False
    patience = timedelta(seconds=job.request.grace_seconds + SILENCE_SECONDS)
    return now - job.cancel_time >= patience


def decide_abandoned(state: State, namespace: str, name: str, now: datetime) -> list[Event]:
    """End a cancelled job whose trainer does not answer, in its place.

    Safe without knowing what became of that trainer: no attempt follows a cancelled one, and a
    trainer that comes back stops what the log says is over. A preempted attempt is another
    matter: the next one would start, perhaps beside it.
    """
    job = state.jobs.get((namespace, name))
    if job is None or not is_abandoned(job, now):
        return []
    reason = _reason(f"{job.cancel_reason}; the trainer that claimed it did not answer")
    return [JobCancelled(job=name, attempt=job.attempt, reason=reason)]


def decide_end(
    state: State, namespace: str, name: str, attempt: int, outcome: Outcome
) -> list[Event]:
    """Say how the attempt ended; a superseded attempt and an ended job say nothing."""
    job = current(state, namespace, name, attempt)
    if job is None or not job.claimed:
        return []
    if job.cancel_reason:
        return [_stopped(job)]
    if outcome.succeeded:
        return [
            JobSucceeded(
                job=name,
                attempt=attempt,
                metrics=outcome.metrics,
                output=outcome.output,
                seconds=outcome.seconds,
            )
        ]
    preempted = job.stop_reason
    return [
        JobFailed(
            job=name,
            attempt=attempt,
            reason=_reason(f"preempted: {preempted}" if preempted else outcome.reason),
            exit_code=outcome.exit_code,
            log_tail=outcome.log_tail,
            final=not preempted and (outcome.permanent or attempt >= job.request.max_attempts),
            seconds=outcome.seconds,
        )
    ]


def _stopped(job: Job) -> Event:
    name = job.request.job
    if job.cancel_reason:
        return JobCancelled(job=name, attempt=job.attempt, reason=job.cancel_reason)
    reason = _reason(f"preempted: {job.stop_reason}")
    return JobFailed(job=name, attempt=job.attempt, reason=reason, final=False)


def _reason(text: str) -> str:
    return text[:REASON_LENGTH_MAX] or "no reason was given"
