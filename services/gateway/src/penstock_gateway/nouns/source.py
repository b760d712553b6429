"""Sources of webhooks: who may send, and how it is verified."""

from collections.abc import Mapping
from typing import Any

from penstock_chassis.message import Recorded
from penstock_gateway.domain.view import Row, View, plain, refusal_text
from penstock_schemas import SourceConfigured, SourceRejected, SourceRequested


def _requested(row: Row, event: SourceRequested, _: Recorded) -> Mapping[str, Any]:
    return {"reason": ""} if row["path"] else {"status": "requested", "reason": ""}


def _configured(row: Row, event: SourceConfigured, _: Recorded) -> Mapping[str, Any]:
    return {
        "status": "paused" if event.paused else "configured",
        "reason": "",
        "scheme": event.scheme,
        "secrets": list(event.secrets),
        "options": plain(event.options),
        "tolerance_seconds": event.tolerance_seconds,
        "body_bytes_max": event.body_bytes_max,
        "path": event.path,
    }


def _rejected(row: Row, event: SourceRejected, _: Recorded) -> Mapping[str, Any]:
    kept = row["status"] if row["path"] else "rejected"
    return {"status": kept, "reason": refusal_text(event)}


VIEW = View(
    "source",
    {
        "scheme": "How its deliveries are verified",
        "secrets": "Names of the secrets that open",
        "path": "Where deliveries go, below the gateway's address",
        "tolerance_seconds": "How far a signed time may be from ours",
        "body_bytes_max": "The largest delivery, bytes",
        "options": "What the scheme is told beside",
    },
    {SourceRequested: _requested, SourceConfigured: _configured, SourceRejected: _rejected},
)
