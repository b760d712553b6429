"""Why a job is where it is: one sentence, and the reasons in order."""

from collections.abc import Mapping, Sequence
from typing import Any

from penstock_gateway.domain.view import Row

_SENTENCES = {
    "requested": "has been asked for and not been seen by the scheduler yet",
    "queued": "waits in queue {queue}",
    "placed": "has its place on {node} and is about to start attempt {attempt}",
    "running": "runs attempt {attempt} on {node}",
    "retrying": "failed in attempt {attempt} and is tried again",
    "preempted": "left its place and waits for another",
    "succeeded": "succeeded in attempt {attempt}",
    "failed": "failed for good in attempt {attempt}",
    "cancelled": "was cancelled",
    "rejected": "can never run as asked",
}


def explain(row: Row, events: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The answer to `why`, from a job's row and its events as the API writes them."""
    said = _SENTENCES.get(row["status"], f"is {row['status']}").format_map(row)
    if row["reason"]:
        said += f": {row['reason']}"
    if row["cancel_requested"] and row["status"] not in ("cancelled", "succeeded", "failed"):
        said += "; its end was asked for"
    return {
        "status": row["status"],
        "sentence": f"job {row['id']} {said}",
        "events": [
            {
                "sequence": event["sequence"],
                "time": event["time"],
                "type": event["type"],
                "attempt": (event.get("data") or {}).get("attempt"),
                "reason": (event.get("data") or {}).get("reason") or event.get("problem"),
            }
            for event in events
        ],
    }
