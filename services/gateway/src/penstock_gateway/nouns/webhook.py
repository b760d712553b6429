"""Webhooks: verified deliveries from outside."""

from collections.abc import Mapping
from typing import Any

from penstock_chassis.message import Recorded
from penstock_gateway.domain.view import Row, View
from penstock_schemas import WebhookReceived

DATA_LENGTH_SHOWN_MAX = 4096
"""Characters of a delivery's body that its row keeps; the event has all of it."""


def _received(row: Row, event: WebhookReceived, _: Recorded) -> Mapping[str, Any]:
    small = len(event.model_dump_json()) <= DATA_LENGTH_SHOWN_MAX
    return {
        "status": "received",
        "source": event.source,
        "delivery": event.delivery,
        "kind": event.kind,
        "data": event.data if small else None,
    }


VIEW = View(
    "webhook",
    {
        "source": "The configured sender",
        "delivery": "The sender's own id of the delivery",
        "kind": "What the sender calls it",
        "data": "The body as it was sent, where it is small",
    },
    {WebhookReceived: _received},
    indexed=("source",),
)
