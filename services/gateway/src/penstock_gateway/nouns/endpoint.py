"""Endpoints: what each serves now, and what it served when."""

from collections.abc import Mapping
from typing import Any

from penstock_chassis.message import Recorded
from penstock_gateway.domain.view import UNKNOWN, Row, View, appended, refusal_text, utc_text
from penstock_schemas import (
    EndpointReady,
    EndpointRejected,
    EndpointRequested,
    RolloutAdvanced,
    RolloutCompleted,
    RolloutRolledback,
    RolloutStarted,
)


def _requested(row: Row, event: EndpointRequested, _: Recorded) -> Mapping[str, Any]:
    if row["status"] not in (UNKNOWN, "rejected"):
        return {}
    return {"status": "requested", "reason": "", "model": event.model, "alias": event.alias}


def _ready(row: Row, event: EndpointReady, _: Recorded) -> Mapping[str, Any]:
    return {"status": "ready", "reason": "", "path": event.path}


def _rejected(row: Row, event: EndpointRejected, _: Recorded) -> Mapping[str, Any]:
    kept = row["status"] if row["status"] not in (UNKNOWN, "requested") else "rejected"
    return {"status": kept, "reason": refusal_text(event)}


def _started(row: Row, event: RolloutStarted, _: Recorded) -> Mapping[str, Any]:
    return {"rollout": event.rollout, "reason": event.reason}


def _advanced(row: Row, event: RolloutAdvanced, _: Recorded) -> Mapping[str, Any]:
    return {"weight_percent": event.weight_percent}


def _completed(row: Row, event: RolloutCompleted, recorded: Recorded) -> Mapping[str, Any]:
    now = utc_text(recorded.time)
    ended = [{**s, "until": s["until"] or now} for s in row["served"] or ()]
    entry = {
        "revision": event.revision,
        "model": event.model,
        "model_version": event.model_version,
        "since": now,
        "until": None,
    }
    return {
        "revision": event.revision,
        "model_version": event.model_version,
        "served": appended(ended, entry),
        "rollout": None,
        "weight_percent": None,
    }


def _rolledback(row: Row, event: RolloutRolledback, _: Recorded) -> Mapping[str, Any]:
    return {"rollout": None, "weight_percent": None, "reason": event.reason}


def _endpoint(event: Any) -> str:
    return str(event.endpoint)


VIEW = View(
    "endpoint",
    {
        "model": "The model that it serves",
        "alias": "The alias that it follows",
        "revision": "The revision that serves all traffic",
        "model_version": "The version of the model in it",
        "path": "Its base path below the serving address",
        "rollout": "The rollout under way, if any",
        "weight_percent": "The share of traffic that the new revision takes",
        "served": "What it served when, oldest first",
    },
    {EndpointRequested: _requested, EndpointReady: _ready, EndpointRejected: _rejected},
    {
        RolloutStarted: (_endpoint, _started),
        RolloutAdvanced: (_endpoint, _advanced),
        RolloutCompleted: (_endpoint, _completed),
        RolloutRolledback: (_endpoint, _rolledback),
    },
)
