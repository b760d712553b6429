"""The scheduler's ledger: its newest page."""

from collections.abc import Mapping
from typing import Any

from penstock_chassis.message import Recorded
from penstock_gateway.domain.view import Row, View
from penstock_schemas import PlanCommitted


def _committed(row: Row, event: PlanCommitted, _: Recorded) -> Mapping[str, Any]:
    return {
        "status": "committed",
        "number": event.number,
        "placed": event.placed,
        "preempted": event.preempted,
        "waiting": event.waiting,
        "placed_total": (row["placed_total"] or 0) + event.placed,
        "preempted_total": (row["preempted_total"] or 0) + event.preempted,
    }


VIEW = View(
    "plan",
    {
        "number": "Number of the newest page",
        "placed": "Jobs that it placed",
        "preempted": "Jobs that it preempted",
        "waiting": "Jobs that it left waiting",
        "placed_total": "Jobs placed by all pages",
        "preempted_total": "Jobs preempted by all pages",
    },
    {PlanCommitted: _committed},
)
