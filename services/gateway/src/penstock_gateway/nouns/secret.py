"""Secrets: names, fingerprints and times; values are nowhere in the log."""

from collections.abc import Mapping
from typing import Any

from penstock_chassis.message import Recorded
from penstock_gateway.domain.view import Row, View, utc_text
from penstock_schemas import SecretDeleted, SecretSet


def _set(row: Row, event: SecretSet, recorded: Recorded) -> Mapping[str, Any]:
    return {
        "status": "set" if event.values == 1 else "rotating",
        "fingerprint": event.fingerprint,
        "values": event.values,
        "set_at": utc_text(recorded.time),
        "by": event.by,
    }


def _deleted(row: Row, event: SecretDeleted, _: Recorded) -> Mapping[str, Any]:
    return {"status": "deleted", "fingerprint": None, "values": 0, "by": event.by}


VIEW = View(
    "secret",
    {
        "fingerprint": "Tells values apart; keyed, so that no guess can be tested against it",
        "values": "How many values open: more than one while it rotates",
        "set_at": "When the newest value was set, UTC",
        "by": "Who changed it last",
    },
    {SecretSet: _set, SecretDeleted: _deleted},
)
