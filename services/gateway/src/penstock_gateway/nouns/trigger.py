"""Triggers: when this happens, do that; how often it did, and what it refused."""

from collections.abc import Mapping
from typing import Any

from penstock_chassis.message import Recorded
from penstock_gateway.domain.view import Row, View, plain, refusal_text, utc_text
from penstock_schemas import TriggerFired, TriggerRejected, TriggerRequested


def _requested(row: Row, event: TriggerRequested, recorded: Recorded) -> Mapping[str, Any]:
    definition = {
        "on": event.on,
        "when": event.when,
        "do": plain(event.do),
        "do_type": event.do.type,
        "paused": event.paused,
        "status": "paused" if event.paused else "active",
        "request": recorded.id,
    }
    former = {name: row.get(name) for name in definition} if row["request"] else None
    return {
        **definition,
        "reason": "",
        "former": former,
        "fired": row["fired"] or 0,
        "refused": row["refused"] or 0,
    }


def _fired(row: Row, event: TriggerFired, recorded: Recorded) -> Mapping[str, Any]:
    return {
        "fired": (row["fired"] or 0) + 1,
        "last_fired_at": utc_text(recorded.time),
        "last_cause": event.cause,
        "last_produced": f"{event.produced_type} {event.produced_id}",
    }


def _rejected(row: Row, event: TriggerRejected, _: Recorded) -> Mapping[str, Any]:
    reason = refusal_text(event)
    if event.request != row["request"] and row["request"] is not None:
        return {"refused": (row["refused"] or 0) + 1, "reason": reason}  # one firing of it
    if row["former"]:  # a change that is not valid: what stood before stands on
        return {**row["former"], "former": None, "reason": reason}
    return {"status": "rejected", "reason": reason}


VIEW = View(
    "trigger",
    {
        "on": "The event type that it waits for",
        "when": "The condition, in CEL",
        "do": "What it appends, with expressions",
        "do_type": "The type of what it appends",
        "paused": "Whether it is set up but does not fire",
        "fired": "How often it fired",
        "refused": "How many firings could not be made",
        "last_fired_at": "When it fired last, UTC",
        "last_cause": "The id of the event that it fired for last",
        "last_produced": "The type and id of what it appended last",
        "request": "The id of the event that declared it",
        "former": "What stands should the declaration be refused",
    },
    {TriggerRequested: _requested, TriggerFired: _fired, TriggerRejected: _rejected},
)
