"""Webhooks in: what makes a delivery acceptable, and the one event that it becomes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from penstock_schemas import WebhookReceived, derived_id

TOLERANCE_SECONDS = 300.0
"""How far the sender's clock may be from ours, as the Standard Webhooks specification asks."""
DELIVERY_ID_LENGTH_MAX = 256


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a delivery is not taken; `kind` is what the sender can do about it."""

    kind: Literal["headers", "stale"]
    detail: str


@dataclass(frozen=True, slots=True)
class Stamp:
    """What the sender says of a delivery, not verified yet."""

    delivery: str


def read_stamp(headers: Mapping[str, str], now: datetime) -> Stamp | Refused:
    """Read and date a delivery's headers (names in lower case)."""
    delivery = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    if not delivery or not timestamp or not headers.get("webhook-signature"):
        return Refused(
            "headers", "the headers webhook-id, webhook-timestamp and webhook-signature are needed"
        )
    if len(delivery) > DELIVERY_ID_LENGTH_MAX or not delivery.isprintable():
        return Refused("headers", f"webhook-id: use up to {DELIVERY_ID_LENGTH_MAX} characters")
    if not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 12:
        return Refused("headers", "webhook-timestamp: write seconds since 1970 as an integer")
    age = timedelta(seconds=now.timestamp() - int(timestamp))
    if abs(age.total_seconds()) > TOLERANCE_SECONDS:
        return Refused("stale", "webhook-timestamp is more than 5 minutes from our clock")
    return Stamp(delivery)


def webhook_id(namespace: str, source: str, delivery: str) -> str:
    """The id of the aggregate of a delivery: the same whenever it is sent again."""
    return derived_id(f"{namespace}/{source}/{delivery}", "webhook")


def received(namespace: str, source: str, delivery: str, data: Any) -> WebhookReceived:
    """The event of a verified delivery. Raises pydantic's `ValidationError`."""
    return WebhookReceived(
        webhook=webhook_id(namespace, source, delivery),
        source=source,
        delivery=delivery,
        data=data,
    )
