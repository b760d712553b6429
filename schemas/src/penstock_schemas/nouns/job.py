"""Jobs: people's code, placed by the scheduler and run by the trainer, attempt by attempt."""

from typing import Annotated

from pydantic import Field

from penstock_schemas.event import ANYONE, Event
from penstock_schemas.names import Name
from penstock_schemas.nouns.parts import (
    REF,
    Attempt,
    Count,
    Inputs,
    Metrics,
    ModelTarget,
    ObjectRef,
    Origin,
    Params,
    Program,
    Reason,
    Refusal,
    Resources,
    Seconds,
    Time,
)

ATTEMPTS_MAX = 100
_JOB = "0190c2a4-7b1e-7c30-8f00-00000000a001"


class JobRequested(Event):
    """Run this program. `inputs` are fetched and verified before it starts."""

    type = "job.requested"
    key = "job"
    owner = ANYONE
    example = {
        "job": _JOB,
        "program": {"command": ["{python}", "train.py"], "source": REF | {"kind": "folder"}},
        "queue": "default",
        "params": {"learning_rate": 0.1},
        "inputs": {"training": REF},
        "resources": {"cpu": 1, "memory_bytes": 0, "gpu": 0},
        "max_attempts": 3,
        "grace_seconds": 10,
        "origin": {"noun": "trial", "id": "flights-1-4"},
        "target": None,
    }

    job: Name
    program: Program
    queue: Name = "default"
    params: Params = {}
    inputs: Inputs = {}
    resources: Resources = Resources()
    max_attempts: Annotated[
        int, Field(ge=1, le=ATTEMPTS_MAX, description="Attempts before it fails for good")
    ] = 3
    grace_seconds: Annotated[
        float, Field(ge=0, le=3600, description="From SIGTERM to SIGKILL, seconds")
    ] = 10.0
    origin: Annotated[Origin | None, Field(description="What asked for it")] = None
    target: Annotated[ModelTarget | None, Field(description="Register its model output")] = None


class JobQueued(Event):
    """The job waits in its queue. `attempt` is the one that it waits for."""

    type = "job.queued"
    key = "job"
    owner = "scheduler"
    example = {"job": _JOB, "queue": "default", "attempt": 1, "reason": "needs 1 CPU; 0 are free"}

    job: Name
    queue: Name
    attempt: Attempt
    reason: Reason


class JobPlaced(Event):
    """The attempt has its place: a node, and the indices of the GPUs that are now its own."""

    type = "job.placed"
    key = "job"
    owner = "scheduler"
    example = {
        "job": _JOB,
        "attempt": 1,
        "node": "laptop",
        "resources": {"cpu": 1, "memory_bytes": 0, "gpu": 0},
        "gpus": [],
        "reason": "first in queue default; 2 of 2 CPUs were free on laptop",
    }

    job: Name
    attempt: Attempt
    node: Name
    resources: Resources
    gpus: Annotated[tuple[Count, ...], Field(description="Indices of its GPUs on the node")] = ()
    reason: Reason


class JobStarted(Event):
    """The trainer claimed the attempt: from here on only this attempt may report, and only the
    trainer that claimed it may start it."""

    type = "job.started"
    key = "job"
    owner = "trainer"
    example = {
        "job": _JOB,
        "attempt": 1,
        "node": "laptop",
        "trainer": "5d1f6a0c8e4b4c5f9a7e2b3c4d5e6f70",
    }

    job: Name
    attempt: Attempt
    node: Name
    trainer: Annotated[
        Name | None, Field(description="The identity of the trainer that claimed it")
    ] = None


class JobCheckpointed(Event):
    """A finished checkpoint is stored and durable; the next attempt resumes from it."""

    type = "job.checkpointed"
    key = "job"
    owner = "trainer"
    example = {"job": _JOB, "attempt": 1, "step": 200, "checkpoint": REF | {"kind": "folder"}}

    job: Name
    attempt: Attempt
    step: Annotated[Count, Field(description="Training steps done")]
    checkpoint: ObjectRef


class JobSucceeded(Event):
    """The attempt ended well; its output folder, if any, is stored and durable."""

    type = "job.succeeded"
    key = "job"
    owner = "trainer"
    example = {
        "job": _JOB,
        "attempt": 1,
        "metrics": {"auc": 0.71},
        "output": REF | {"kind": "folder"},
        "seconds": 3.4,
    }

    job: Name
    attempt: Attempt
    metrics: Metrics = {}
    output: Annotated[ObjectRef | None, Field(description="The folder it wrote, if any")] = None
    seconds: Seconds


class JobFailed(Event):
    """The attempt ended badly. `final` is false where another attempt follows."""

    type = "job.failed"
    key = "job"
    owner = "trainer"
    example = {
        "job": _JOB,
        "attempt": 1,
        "reason": "killed by signal 9",
        "exit_code": None,
        "log_tail": "Killed",
        "final": False,
        "seconds": 1.2,
    }

    job: Name
    attempt: Attempt
    reason: Reason
    exit_code: Annotated[
        int | None, Field(description="Of the process; absent where a signal ended it")
    ] = None
    log_tail: Annotated[str, Field(description="The end of the log", max_length=16_384)] = ""
    final: Annotated[bool, Field(description="No further attempt follows")]
    seconds: Seconds = 0.0


class JobPreempted(Event):
    """The attempt must leave its place by `deadline`; the job waits for another."""

    type = "job.preempted"
    key = "job"
    owner = "scheduler"
    example = {
        "job": _JOB,
        "attempt": 1,
        "beneficiary": "0190c2a4-7b1e-7c30-8f00-00000000a002",
        "reason": "queue research reclaims 1 GPU of its quota",
        "deadline": "2026-11-24T10:00:30Z",
    }

    job: Name
    attempt: Attempt
    beneficiary: Annotated[Name | None, Field(description="The job that gets the place")] = None
    reason: Reason
    deadline: Annotated[Time, Field(description="When its place must be free, UTC")]


class JobCancelRequested(Event):
    """End the job, wherever it is."""

    type = "job.cancel-requested"
    key = "job"
    owner = ANYONE
    example = {"job": _JOB, "reason": "no longer needed"}

    job: Name
    reason: Reason = "asked for"


class JobCancelled(Event):
    """The job ended because it was asked to; `attempt` is absent where none had been placed.

    The trainer says so of an attempt that has its place, the scheduler of a job that waits.
    """

    type = "job.cancelled"
    key = "job"
    owner = "trainer"
    shared_with = ("scheduler",)
    example = {"job": _JOB, "attempt": 1, "reason": "no longer needed"}

    job: Name
    attempt: Attempt | None = None
    reason: Reason


class JobRejected(Event, Refusal):
    """The job can never run as asked."""

    type = "job.rejected"
    key = "job"
    owner = "scheduler"
    example = {
        "job": _JOB,
        "request": "0190c2a4-7b1e-7c30-8f00-000000000001",
        "reason": "needs 8 GPUs on one node; the largest node has 4",
        "field": "resources.gpu",
        "fix": "ask for at most 4 GPUs",
    }

    job: Name
