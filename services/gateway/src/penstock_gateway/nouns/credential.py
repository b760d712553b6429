"""Credentials for the bus and the object store themselves: their public halves."""

from collections.abc import Mapping
from typing import Any

from penstock_chassis.message import Recorded
from penstock_gateway.domain.view import Row, View
from penstock_schemas import CredentialIssued, CredentialRevoked


def _issued(row: Row, event: CredentialIssued, _: Recorded) -> Mapping[str, Any]:
    return {
        "status": "issued",
        "kind": event.kind,
        "role": event.role,
        "public_key": event.public_key,
        "description": event.description,
        "by": event.by,
    }


def _revoked(row: Row, event: CredentialRevoked, _: Recorded) -> Mapping[str, Any]:
    return {"status": "revoked", "reason": event.reason}


VIEW = View(
    "credential",
    {
        "kind": "nats or s3",
        "role": "The most that it permits",
        "public_key": "The public NKey, or the access key",
        "description": "What it is for",
        "by": "The account that made it",
    },
    {CredentialIssued: _issued, CredentialRevoked: _revoked},
)
