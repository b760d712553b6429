"""Experiments: the best so far, and how many trials went how."""

from collections.abc import Mapping
from typing import Any

from penstock_chassis.message import Recorded
from penstock_gateway.domain.view import UNKNOWN, Row, View, refused, utc_text
from penstock_schemas import (
    ExperimentCompleted,
    ExperimentRejected,
    ExperimentRequested,
    TrialCompleted,
    TrialFailed,
    TrialPruned,
    TrialStarted,
)


def _requested(row: Row, event: ExperimentRequested, recorded: Recorded) -> Mapping[str, Any]:
    if row["status"] not in (UNKNOWN, "rejected"):
        return {}
    return {
        "status": "requested",
        "request": recorded.id,
        "reason": "",
        "metric": event.objective.metric,
        "goal": event.objective.goal,
        "max_trials": event.max_trials,
        "parallel_trials": event.parallel_trials,
        "sampler": event.sampler,
        "seed": event.seed,
        "queue": event.queue,
        "model": event.target.model if event.target else None,
        "inputs": {name: ref.digest for name, ref in event.inputs.items()},
        "trials": 0,
        "running": 0,
        "succeeded": 0,
        "failed": 0,
        "pruned": 0,
    }


def _started(row: Row, event: TrialStarted, _: Recorded) -> Mapping[str, Any]:
    return {
        "status": "running" if row["status"] != "completed" else "completed",
        "trials": (row["trials"] or 0) + 1,
        "running": (row["running"] or 0) + 1,
    }


def _ended(row: Row, outcome: str) -> dict[str, Any]:
    return {
        outcome: (row[outcome] or 0) + 1,
        "running": max(0, (row["running"] or 0) - 1),
    }


def _trial_completed(row: Row, event: TrialCompleted, _: Recorded) -> Mapping[str, Any]:
    change = _ended(row, "succeeded")
    best = row["best_value"]
    sign = -1 if row["goal"] == "minimize" else 1
    if best is None or sign * event.value > sign * best:
        change |= {"best_value": event.value, "best_trial": event.trial}
    return change


def _trial_failed(row: Row, event: TrialFailed, _: Recorded) -> Mapping[str, Any]:
    return _ended(row, "failed")


def _trial_pruned(row: Row, event: TrialPruned, _: Recorded) -> Mapping[str, Any]:
    return _ended(row, "pruned")


def _completed(row: Row, event: ExperimentCompleted, recorded: Recorded) -> Mapping[str, Any]:
    return {
        "status": "completed",
        "reason": event.reason,
        "best_trial": event.best_trial,
        "best_value": event.best_value,
        "running": 0,
        "succeeded": event.succeeded,
        "failed": event.failed,
        "pruned": event.pruned,
        "seconds": event.seconds,
        "ended_at": utc_text(recorded.time),
    }


def _experiment(event: Any) -> str:
    return str(event.experiment)


VIEW = View(
    "experiment",
    {
        "request": "The id of the event that asked for it",
        "metric": "The metric to optimise",
        "goal": "maximize or minimize",
        "best_value": "The best value so far, in the metric's unit",
        "best_trial": "The trial that has it",
        "trials": "Trials started",
        "running": "Trials that have not ended",
        "succeeded": "Trials with a value",
        "failed": "Trials without a value",
        "pruned": "Trials stopped early",
        "max_trials": "Trials to start in all",
        "parallel_trials": "Trials that may run at a time",
        "sampler": "The algorithm that draws parameters",
        "seed": "Of the sampler",
        "queue": "Where its jobs wait",
        "model": "The model that the best trial becomes a version of",
        "inputs": "Digests of its inputs by name",
        "seconds": "How long it took",
        "ended_at": "When it ended, UTC",
    },
    {
        ExperimentRequested: _requested,
        ExperimentCompleted: _completed,
        ExperimentRejected: refused,
    },
    {
        TrialStarted: (_experiment, _started),
        TrialCompleted: (_experiment, _trial_completed),
        TrialFailed: (_experiment, _trial_failed),
        TrialPruned: (_experiment, _trial_pruned),
    },
)
