"""Feature sets: what is kept materialised, and every materialisation."""

from collections.abc import Mapping
from typing import Any

from penstock_chassis.message import Recorded
from penstock_gateway.domain.view import UNKNOWN, Row, View, appended, plain, refusal_text, utc_text
from penstock_schemas import (
    FeaturesMaterialized,
    FeaturesPushed,
    FeaturesRejected,
    FeaturesRequested,
)


def _requested(row: Row, event: FeaturesRequested, _: Recorded) -> Mapping[str, Any]:
    return {
        "status": "requested" if row["status"] != "materialized" else "materialized",
        "reason": "",
        "dataset": event.dataset,
        "feature_service": event.feature_service,
        "entity_table": event.entity_table,
        "holdout_days": event.holdout_days,
        "repository": plain(event.repository),
    }


def _materialized(row: Row, event: FeaturesMaterialized, recorded: Recorded) -> Mapping[str, Any]:
    entry = {
        "dataset": event.dataset,
        "dataset_version": event.dataset_version,
        "training_digest": event.training.digest,
        "holdout_digest": event.holdout.digest if event.holdout else None,
        "training_rows": event.training_rows,
        "holdout_rows": event.holdout_rows,
        "materialized_at": utc_text(recorded.time),
    }
    return {
        "status": "materialized",
        "reason": "",
        "dataset": event.dataset,
        "dataset_version": event.dataset_version,
        "training": plain(event.training),
        "holdout": plain(event.holdout),
        "training_rows": event.training_rows,
        "holdout_rows": event.holdout_rows,
        "columns": dict(event.columns),
        "seconds": event.seconds,
        "versions": appended(row["versions"], entry),
    }


def _pushed(row: Row, event: FeaturesPushed, _: Recorded) -> Mapping[str, Any]:
    return {
        "status": "pushed" if row["status"] == UNKNOWN else row["status"],
        "pushed_rows": (row["pushed_rows"] or 0) + event.row_count,
    }


def _rejected(row: Row, event: FeaturesRejected, _: Recorded) -> Mapping[str, Any]:
    kept = row["status"] if row["versions"] else "rejected"
    return {"status": kept, "reason": refusal_text(event)}


VIEW = View(
    "features",
    {
        "dataset": "The dataset that it is computed from",
        "dataset_version": "The version that it was computed from last",
        "feature_service": "The Feast feature service",
        "entity_table": "The table with the entity rows",
        "holdout_days": "Days kept apart for gates",
        "repository": "The Feast repository",
        "training": "The newest training rows",
        "holdout": "The newest rows for gates",
        "training_rows": "Rows to train on",
        "holdout_rows": "Rows for gates",
        "columns": "Arrow types by column",
        "seconds": "How long the last materialisation took",
        "pushed_rows": "Rows pushed from outside so far",
        "versions": "Every materialisation, oldest first",
    },
    {
        FeaturesRequested: _requested,
        FeaturesMaterialized: _materialized,
        FeaturesPushed: _pushed,
        FeaturesRejected: _rejected,
    },
)
