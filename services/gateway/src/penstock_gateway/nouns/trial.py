"""Trials: one set of parameters each, and what it was worth."""

from collections.abc import Mapping
from typing import Any

from penstock_chassis.message import Recorded
from penstock_gateway.domain.view import Row, View, plain, utc_text
from penstock_schemas import TrialCompleted, TrialFailed, TrialPruned, TrialStarted


def _started(row: Row, event: TrialStarted, _: Recorded) -> Mapping[str, Any]:
    return {
        "status": "running",
        "experiment": event.experiment,
        "number": event.number,
        "params": dict(event.params),
        "job": event.job,
        "sampler": event.sampler,
    }


def _completed(row: Row, event: TrialCompleted, recorded: Recorded) -> Mapping[str, Any]:
    return {
        "status": "completed",
        "reason": "",
        "experiment": event.experiment,
        "number": event.number,
        "value": event.value,
        "metrics": dict(event.metrics),
        "job": event.job,
        "output": plain(event.output),
        "ended_at": utc_text(recorded.time),
    }


def _pruned(row: Row, event: TrialPruned, recorded: Recorded) -> Mapping[str, Any]:
    return {
        "status": "pruned",
        "reason": event.reason,
        "experiment": event.experiment,
        "number": event.number,
        "value": event.value,
        "ended_at": utc_text(recorded.time),
    }


def _failed(row: Row, event: TrialFailed, recorded: Recorded) -> Mapping[str, Any]:
    return {
        "status": "failed",
        "reason": event.reason,
        "experiment": event.experiment,
        "number": event.number,
        "ended_at": utc_text(recorded.time),
    }


VIEW = View(
    "trial",
    {
        "experiment": "The experiment that it belongs to",
        "number": "Its number there, from 0",
        "params": "The parameters that were drawn",
        "value": "Its objective, in the metric's unit",
        "metrics": "Everything that its job reported",
        "job": "Its job",
        "output": "The folder that its job wrote",
        "sampler": "The algorithm that drew the parameters",
        "ended_at": "When it ended, UTC",
    },
    {
        TrialStarted: _started,
        TrialCompleted: _completed,
        TrialPruned: _pruned,
        TrialFailed: _failed,
    },
    indexed=("experiment",),
)
