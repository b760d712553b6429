"""Promotions: what was put forward for which alias, and what the gate said."""

from collections.abc import Mapping
from typing import Any

from penstock_chassis.message import Recorded
from penstock_gateway.domain.view import UNKNOWN, Row, View, refused, utc_text
from penstock_schemas import (
    ModelPromoted,
    PromotionRefused,
    PromotionRejected,
    PromotionRequested,
)


def _requested(row: Row, event: PromotionRequested, recorded: Recorded) -> Mapping[str, Any]:
    if row["status"] not in (UNKNOWN, "rejected"):
        return {}
    return {
        "status": "requested",
        "request": recorded.id,
        "reason": "",
        "model": event.model,
        "model_version": event.model_version,
        "alias": event.alias,
        "metric": event.gate.objective.metric if event.gate else None,
        "min_gain": event.gate.min_gain if event.gate else None,
    }


def _refused(row: Row, event: PromotionRefused, recorded: Recorded) -> Mapping[str, Any]:
    return {
        "status": "refused",
        "reason": event.reason,
        "model": event.model,
        "model_version": event.model_version,
        "alias": event.alias,
        "evidence": dict(event.evidence),
        "ended_at": utc_text(recorded.time),
    }


def _granted(row: Row, event: ModelPromoted, recorded: Recorded) -> Mapping[str, Any]:
    return {
        "status": "promoted",
        "reason": event.reason,
        "evidence": dict(event.evidence),
        "ended_at": utc_text(recorded.time),
    }


VIEW = View(
    "promotion",
    {
        "request": "The id of the event that asked for it",
        "model": "The model",
        "model_version": "The version that is put forward",
        "alias": "The alias that it is to earn",
        "metric": "The metric that the gate compares, if there is a gate",
        "min_gain": "By how much it must be better",
        "evidence": "What the gate measured",
        "ended_at": "When it was decided, UTC",
    },
    {
        PromotionRequested: _requested,
        PromotionRefused: _refused,
        PromotionRejected: refused,
    },
    {ModelPromoted: (lambda event: str(event.promotion), _granted)},
    indexed=("model",),
)
