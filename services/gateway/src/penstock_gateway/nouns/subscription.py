"""Subscriptions: where events are sent, and how that stands."""

from collections.abc import Mapping
from typing import Any

from penstock_chassis.message import Recorded
from penstock_gateway.domain.view import Row, View, refusal_text, utc_text
from penstock_schemas import (
    SubscriptionConfigured,
    SubscriptionDisabled,
    SubscriptionRejected,
    SubscriptionRemoved,
    SubscriptionRemoveRequested,
    SubscriptionReplayed,
    SubscriptionReplayRequested,
    SubscriptionRequested,
    SubscriptionUndelivered,
)


def _requested(row: Row, event: SubscriptionRequested, _: Recorded) -> Mapping[str, Any]:
    return {"reason": ""} if row["url"] else {"status": "requested", "reason": ""}


def _asked(
    row: Row, event: SubscriptionReplayRequested | SubscriptionRemoveRequested, _: Recorded
) -> Mapping[str, Any]:
    return {"reason": ""} if row["url"] else {"status": "unknown"}


def _configured(row: Row, event: SubscriptionConfigured, _: Recorded) -> Mapping[str, Any]:
    return {
        "status": "paused" if event.paused else "configured",
        "reason": "",
        "url": event.url,
        "types": list(event.types),
        "secret": event.secret,
        "ordered": event.ordered,
        "headers": dict(event.headers),
        "undelivered": row["undelivered"] or 0,
    }


def _rejected(row: Row, event: SubscriptionRejected, _: Recorded) -> Mapping[str, Any]:
    return {
        "status": row["status"] if row["url"] else "rejected",
        "reason": refusal_text(event),
    }


def _disabled(row: Row, event: SubscriptionDisabled, _: Recorded) -> Mapping[str, Any]:
    return {"status": "disabled", "reason": event.reason, "disabled_after": event.after}


def _removed(row: Row, event: SubscriptionRemoved, _: Recorded) -> Mapping[str, Any]:
    return {"status": "removed", "reason": event.reason}


def _replayed(row: Row, event: SubscriptionReplayed, recorded: Recorded) -> Mapping[str, Any]:
    return {"replayed_at": utc_text(recorded.time)}


def _undelivered(row: Row, event: SubscriptionUndelivered, _: Recorded) -> Mapping[str, Any]:
    return {
        "undelivered": (row["undelivered"] or 0) + 1,
        "last_undelivered": f"{event.event_type} {event.event}: {event.reason}",
    }


VIEW = View(
    "subscription",
    {
        "url": "Where deliveries are posted",
        "types": "Which events are sent",
        "secret": "The secret that signs",
        "ordered": "Whether events about one thing are sent one after the other",
        "headers": "What is sent along",
        "undelivered": "How many events were given up",
        "last_undelivered": "The last of them, and why",
        "replayed_at": "When a replay was asked for last, UTC",
        "disabled_after": "Everything up to this sequence was dealt with when it was disabled",
    },
    {
        SubscriptionRequested: _requested,
        SubscriptionReplayRequested: _asked,
        SubscriptionRemoveRequested: _asked,
        SubscriptionConfigured: _configured,
        SubscriptionRejected: _rejected,
        SubscriptionDisabled: _disabled,
        SubscriptionRemoved: _removed,
        SubscriptionReplayed: _replayed,
        SubscriptionUndelivered: _undelivered,
    },
)
