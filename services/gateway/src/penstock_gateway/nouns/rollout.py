"""Rollouts: switches of an endpoint from one revision to the next."""

from collections.abc import Mapping
from typing import Any

from penstock_chassis.message import Recorded
from penstock_gateway.domain.view import Row, View, utc_text
from penstock_schemas import RolloutAdvanced, RolloutCompleted, RolloutRolledback, RolloutStarted


def _started(row: Row, event: RolloutStarted, _: Recorded) -> Mapping[str, Any]:
    return {
        "status": "started",
        "reason": event.reason,
        "endpoint": event.endpoint,
        "revision": event.revision,
        "previous_revision": event.previous_revision,
        "model": event.model,
        "model_version": event.model_version,
        "weight_percent": 0,
    }


def _advanced(row: Row, event: RolloutAdvanced, _: Recorded) -> Mapping[str, Any]:
    return {
        "status": "advancing",
        "endpoint": event.endpoint,
        "revision": event.revision,
        "weight_percent": event.weight_percent,
    }


def _completed(row: Row, event: RolloutCompleted, recorded: Recorded) -> Mapping[str, Any]:
    return {
        "status": "completed",
        "endpoint": event.endpoint,
        "revision": event.revision,
        "model": event.model,
        "model_version": event.model_version,
        "weight_percent": 100,
        "seconds": event.seconds,
        "ended_at": utc_text(recorded.time),
    }


def _rolledback(row: Row, event: RolloutRolledback, recorded: Recorded) -> Mapping[str, Any]:
    return {
        "status": "rolledback",
        "reason": event.reason,
        "endpoint": event.endpoint,
        "revision": event.revision,
        "weight_percent": 0,
        "ended_at": utc_text(recorded.time),
    }


VIEW = View(
    "rollout",
    {
        "endpoint": "The endpoint",
        "revision": "The new revision",
        "previous_revision": "The revision that served before, if any",
        "model": "The model",
        "model_version": "The version that the new revision serves",
        "weight_percent": "The share of traffic that it takes",
        "seconds": "How long it took",
        "ended_at": "When it ended, UTC",
    },
    {
        RolloutStarted: _started,
        RolloutAdvanced: _advanced,
        RolloutCompleted: _completed,
        RolloutRolledback: _rolledback,
    },
    indexed=("endpoint",),
)
