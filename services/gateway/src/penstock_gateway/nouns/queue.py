"""Queues and their quotas."""

from collections.abc import Mapping
from typing import Any

from penstock_chassis.message import Recorded
from penstock_gateway.domain.view import Row, View, refusal_text
from penstock_schemas import QueueConfigured, QueueRejected, QueueRequested


def _requested(row: Row, event: QueueRequested, _: Recorded) -> Mapping[str, Any]:
    return {} if row["status"] == "configured" else {"status": "requested", "reason": ""}


def _configured(row: Row, event: QueueConfigured, _: Recorded) -> Mapping[str, Any]:
    return {
        "status": "configured",
        "reason": "",
        "cpu_quota": event.cpu_quota,
        "gpu_quota": event.gpu_quota,
    }


def _rejected(row: Row, event: QueueRejected, _: Recorded) -> Mapping[str, Any]:
    kept = "configured" if row["status"] == "configured" else "rejected"
    return {"status": kept, "reason": refusal_text(event)}


VIEW = View(
    "queue",
    {
        "cpu_quota": "CPU cores that its jobs may hold at a time; absent: no limit",
        "gpu_quota": "GPUs that its jobs may hold at a time; absent: no limit",
    },
    {QueueRequested: _requested, QueueConfigured: _configured, QueueRejected: _rejected},
)
