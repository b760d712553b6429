"""Webhooks in: a delivery as it arrives, what it becomes, and why it may be refused."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from penstock_gateway.errors import GatewayError
from penstock_schemas import WebhookReceived, derived_id

DELIVERY_ID_LENGTH_MAX = 256
KIND_LENGTH_MAX = 256

Fault = Literal["unproven", "stale", "headers", "type", "body", "size"]


@dataclass(frozen=True, slots=True)
class Incoming:
    """One request: headers by name in lower case (repeated ones joined by commas), and its body
    byte for byte."""

    headers: Mapping[str, str]
    body: bytes

    def header(self, name: str) -> str:
        """A header's value, empty where it was not sent."""
        return self.headers.get(name.lower(), "")


@dataclass(frozen=True, slots=True)
class Delivered:
    """One thing that a verified request tells."""

    id: str
    """The sender's own id of it: the same whenever it is sent again."""
    kind: str
    """What the sender calls it, e.g. `push`; may be empty."""
    data: Any
    """JSON."""


class Refused(GatewayError):
    """A delivery is not taken. Only a sender that proved itself is told why: to anyone else every
    fault is `unproven`, and the detail is for the operator."""

    def __init__(self, fault: Fault, detail: str) -> None:
        super().__init__(detail)
        self.fault, self.detail = fault, detail


def webhook_id(namespace: str, source: str, delivery: str) -> str:
    """The id of the aggregate of a delivery: the same whenever it is sent again."""
    return derived_id(f"{namespace}/{source}/{delivery}", "webhook")


def received(namespace: str, source: str, delivered: Delivered) -> WebhookReceived:
    """The event of what was delivered. Raises `Refused`, and pydantic's `ValidationError`."""
    id = delivered.id
    if not id or len(id) > DELIVERY_ID_LENGTH_MAX or not id.isprintable():
        raise Refused(
            "headers",
            f"the delivery's id is not 1 to {DELIVERY_ID_LENGTH_MAX} readable characters",
        )
    return WebhookReceived(
        webhook=webhook_id(namespace, source, id),
        source=source,
        delivery=id,
        kind=delivered.kind[:KIND_LENGTH_MAX],
        data=delivered.data,
    )
