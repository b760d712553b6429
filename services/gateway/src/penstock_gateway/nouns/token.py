"""API tokens: what they are for and until when; never the token, nor its hash."""

from collections.abc import Mapping
from typing import Any

from penstock_chassis.message import Recorded
from penstock_gateway.domain.view import Row, View, utc_text
from penstock_schemas import TokenIssued, TokenRevoked


def _issued(row: Row, event: TokenIssued, _: Recorded) -> Mapping[str, Any]:
    return {
        "status": "issued",
        "account": event.account,
        "role": event.role,
        "namespaces": list(event.namespaces) or None,
        "expires_at": utc_text(event.expires_at),
        "description": event.description,
        "by": event.by,
    }


def _revoked(row: Row, event: TokenRevoked, _: Recorded) -> Mapping[str, Any]:
    return {"status": "revoked", "reason": event.reason}


VIEW = View(
    "token",
    {
        "account": "Whom its holder acts as",
        "role": "The most that it permits",
        "namespaces": "Where it is good, if it was issued in `system`; absent: everywhere",
        "expires_at": "When it ends by itself, UTC",
        "description": "What it is for",
        "by": "The account that made it",
    },
    {TokenIssued: _issued, TokenRevoked: _revoked},
    indexed=("account",),
)
