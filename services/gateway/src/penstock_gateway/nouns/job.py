"""Jobs: where each is, on which attempt, and why."""

from collections.abc import Mapping
from typing import Any

from penstock_chassis.message import Recorded
from penstock_gateway.domain.view import UNKNOWN, Row, View, plain, refused, utc_text
from penstock_schemas import (
    JobCancelled,
    JobCancelRequested,
    JobCheckpointed,
    JobFailed,
    JobPlaced,
    JobPreempted,
    JobQueued,
    JobRejected,
    JobRequested,
    JobStarted,
    JobSucceeded,
)


def _requested(row: Row, event: JobRequested, recorded: Recorded) -> Mapping[str, Any]:
    if row["status"] not in (UNKNOWN, "rejected"):
        return {}  # asked for again under the same id: the first stands
    return {
        "status": "requested",
        "request": recorded.id,
        "reason": "",
        "queue": event.queue,
        "attempt": 0,
        "max_attempts": event.max_attempts,
        "origin": f"{event.origin.noun}/{event.origin.id}" if event.origin else None,
        "command": " ".join(event.program.command),
        "source": event.program.source.digest if event.program.source else None,
        "params": dict(event.params),
        "inputs": {name: ref.digest for name, ref in event.inputs.items()},
        "resources": plain(event.resources),
    }


def _queued(row: Row, event: JobQueued, _: Recorded) -> Mapping[str, Any]:
    return {
        "status": "queued",
        "reason": event.reason,
        "queue": event.queue,
        "node": None,
        "gpus": None,
    }


def _placed(row: Row, event: JobPlaced, _: Recorded) -> Mapping[str, Any]:
    return {
        "status": "placed",
        "reason": event.reason,
        "attempt": event.attempt,
        "node": event.node,
        "gpus": list(event.gpus),
    }


def _started(row: Row, event: JobStarted, recorded: Recorded) -> Mapping[str, Any]:
    return {
        "status": "running",
        "reason": "",
        "attempt": event.attempt,
        "node": event.node,
        "started_at": utc_text(recorded.time),
    }


def _checkpointed(row: Row, event: JobCheckpointed, _: Recorded) -> Mapping[str, Any]:
    return {"checkpoint_step": event.step}


def _succeeded(row: Row, event: JobSucceeded, recorded: Recorded) -> Mapping[str, Any]:
    return {
        "status": "succeeded",
        "reason": "",
        "metrics": dict(event.metrics),
        "output": plain(event.output),
        "seconds": event.seconds,
        "ended_at": utc_text(recorded.time),
    }


def _failed(row: Row, event: JobFailed, recorded: Recorded) -> Mapping[str, Any]:
    return {
        "status": "failed" if event.final else "retrying",
        "reason": event.reason,
        "exit_code": event.exit_code,
        "seconds": event.seconds,
        "ended_at": utc_text(recorded.time) if event.final else None,
    }


def _preempted(row: Row, event: JobPreempted, _: Recorded) -> Mapping[str, Any]:
    return {"status": "preempted", "reason": event.reason}


def _cancel_requested(row: Row, event: JobCancelRequested, _: Recorded) -> Mapping[str, Any]:
    if row["status"] in (UNKNOWN, "succeeded", "failed", "cancelled", "rejected"):
        return {}
    return {"cancel_requested": True}


def _cancelled(row: Row, event: JobCancelled, recorded: Recorded) -> Mapping[str, Any]:
    return {"status": "cancelled", "reason": event.reason, "ended_at": utc_text(recorded.time)}


VIEW = View(
    "job",
    {
        "request": "The id of the event that asked for it",
        "queue": "The queue that it waits or waited in",
        "attempt": "Number of the attempt, 0 before the first",
        "max_attempts": "Attempts before it fails for good",
        "node": "Where the attempt runs or ran last",
        "gpus": "Indices of its GPUs on the node",
        "origin": "What asked for it, as noun/id",
        "command": "The command line",
        "source": "Digest of its code",
        "params": "Its parameters",
        "inputs": "Digests of its inputs by name",
        "resources": "What it takes of a node",
        "metrics": "What it reported at its end",
        "output": "The folder that it wrote",
        "checkpoint_step": "The step of its newest checkpoint",
        "exit_code": "Of its last process",
        "cancel_requested": "Whether its end was asked for",
        "started_at": "When its last attempt started, UTC",
        "ended_at": "When it ended, UTC",
        "seconds": "How long its last attempt took",
    },
    {
        JobRequested: _requested,
        JobQueued: _queued,
        JobPlaced: _placed,
        JobStarted: _started,
        JobCheckpointed: _checkpointed,
        JobSucceeded: _succeeded,
        JobFailed: _failed,
        JobPreempted: _preempted,
        JobCancelRequested: _cancel_requested,
        JobCancelled: _cancelled,
        JobRejected: refused,
    },
    indexed=("queue", "node", "origin"),
)
