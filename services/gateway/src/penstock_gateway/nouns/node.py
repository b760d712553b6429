"""Nodes: what jobs run on."""

from collections.abc import Mapping
from typing import Any

from penstock_chassis.message import Recorded
from penstock_gateway.domain.view import Row, View
from penstock_schemas import NodeDrained, NodeLost, NodeRegistered


def _registered(row: Row, event: NodeRegistered, _: Recorded) -> Mapping[str, Any]:
    return {
        "status": "ready",
        "reason": "",
        "cpu": event.resources.cpu,
        "memory_bytes": event.resources.memory_bytes,
        "gpu": event.resources.gpu,
        "labels": dict(event.labels),
    }


def _drained(row: Row, event: NodeDrained, _: Recorded) -> Mapping[str, Any]:
    return {"status": "drained", "reason": event.reason}


def _lost(row: Row, event: NodeLost, _: Recorded) -> Mapping[str, Any]:
    return {"status": "lost", "reason": event.reason}


VIEW = View(
    "node",
    {
        "cpu": "CPU cores",
        "memory_bytes": "Memory; 0 means not declared",
        "gpu": "Whole GPUs",
        "labels": "Free labels",
    },
    {NodeRegistered: _registered, NodeDrained: _drained, NodeLost: _lost},
)
