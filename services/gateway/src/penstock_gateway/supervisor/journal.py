"""The log of deliveries: one record for each try, in the telemetry, for as long as that is kept."""

import json
from datetime import UTC, datetime
from typing import Any, Literal

import structlog
from prometheus_client import Counter

from penstock_chassis.errors import Unavailable
from penstock_chassis.message import Recorded
from penstock_chassis.metrics import REGISTRY
from penstock_chassis.ports import Telemetry
from penstock_gateway.domain.view import utc_text
from penstock_gateway.ports import Answer

Outcome = Literal["delivered", "failed", "given-up", "disabled"]

DELIVERIES = Counter(
    "penstock_webhook_deliveries_total",
    "Tries to deliver events to subscriptions by outcome: delivered, failed, given-up, disabled",
    ("outcome",),
    registry=REGISTRY,
)

log = structlog.get_logger("penstock.gateway")


def subject_of(namespace: str, subscription: str, *, failed: bool | None = None) -> str:
    """Where the records of a subscription stand; of both kinds without `failed`."""
    kind = "*" if failed is None else ("failure" if failed else "delivery")
    return f"telemetry.{namespace}.subscription.{kind}.{subscription}"


async def record(
    telemetry: Telemetry,
    subscription: str,
    delivery: str,
    recorded: Recorded,
    attempt: int,
    answer: Answer,
    outcome: Outcome,
    next_try_at: float | None,
    now: datetime,
) -> None:
    """Write a try down. That the record is lost when the bus is away loses no delivery."""
    DELIVERIES.labels(outcome).inc()
    document: dict[str, Any] = {
        "delivery": delivery,
        "event": recorded.id,
        "type": recorded.type,
        "sequence": recorded.sequence,
        "attempt": attempt,
        "outcome": outcome,
        "status": answer.status or None,
        "error": answer.error,
        "milliseconds": answer.milliseconds,
        "time": utc_text(now),
        "next_try": utc_text(datetime.fromtimestamp(next_try_at, UTC)) if next_try_at else None,
    }
    subject = subject_of(recorded.namespace, subscription, failed=not answer.taken)
    id = f"{delivery}:{attempt}:{now.timestamp()}"
    try:
        await telemetry.publish(subject, json.dumps(document).encode(), id)
    except Unavailable as error:
        log.warning("delivery not logged", subscription=subscription, error=str(error))
