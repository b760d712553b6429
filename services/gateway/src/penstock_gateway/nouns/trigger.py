"""Triggers: when this happens, do that; how often it did, and what it refused."""

from collections.abc import Mapping
from typing import Any

from penstock_chassis.message import Recorded
from penstock_gateway.domain.view import UNKNOWN, Row, View, plain, refusal_text, utc_text
from penstock_schemas import (
    TriggerDeleted,
    TriggerFired,
    TriggerFireRequested,
    TriggerPauseRequested,
    TriggerRejected,
    TriggerRequested,
    TriggerResumeRequested,
    TriggerSkipped,
)

DELETED = "deleted"
_RULES = (
    *("debounce", "batch", "cooldown_seconds", "throttle", "at_most_every_seconds"),
    *("concurrency", "cron"),
)


def _requested(row: Row, event: TriggerRequested, recorded: Recorded) -> Mapping[str, Any]:
    given = event.model_dump(mode="json", include=set(_RULES), exclude_none=True)
    definition = {
        "on": event.on if isinstance(event.on, str) else list(event.on),
        "when": event.when,
        "do": plain(event.do),
        "do_type": event.do.type,
        "rules": {name: given[name] for name in _RULES if name in given},
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
        "skipped": row["skipped"] or 0,
    }


def _paused(row: Row, event: TriggerPauseRequested, _: Recorded) -> Mapping[str, Any]:
    if row["status"] not in ("active", "paused"):
        return {}
    return {"paused": True, "status": "paused", "reason": event.reason}


def _resumed(row: Row, _: TriggerResumeRequested, __: Recorded) -> Mapping[str, Any]:
    if row["status"] not in ("active", "paused"):
        return {}
    return {"paused": False, "status": "active", "reason": ""}


def _asked(row: Row, _: TriggerFireRequested, recorded: Recorded) -> Mapping[str, Any]:
    return {"last_asked_at": utc_text(recorded.time)}


def _deleted(row: Row, event: TriggerDeleted, _: Recorded) -> Mapping[str, Any]:
    return {**dict.fromkeys(VIEW.columns), "status": DELETED, "reason": event.reason}


def _fired(row: Row, event: TriggerFired, recorded: Recorded) -> Mapping[str, Any]:
    return {
        "fired": (row["fired"] or 0) + 1,
        "last_fired_at": utc_text(recorded.time),
        "last_cause": event.cause,
        "last_produced": f"{event.produced_type} {event.produced_id}",
    }


def _skipped(row: Row, event: TriggerSkipped, _: Recorded) -> Mapping[str, Any]:
    return {"skipped": (row["skipped"] or 0) + event.count, "reason": event.reason}


def _rejected(row: Row, event: TriggerRejected, _: Recorded) -> Mapping[str, Any]:
    reason = refusal_text(event)
    if row["status"] == DELETED:  # asked of what is no more
        return {"reason": reason}
    if event.request != row["request"] and row["request"] is not None:
        return {"refused": (row["refused"] or 0) + 1, "reason": reason}  # one firing of it
    if row["former"]:  # a change that is not valid: what stood before stands on
        return {**row["former"], "former": None, "reason": reason}
    return {"status": "rejected" if row["request"] else UNKNOWN, "reason": reason}


VIEW = View(
    "trigger",
    {
        "on": "The event types that it waits for",
        "when": "The condition, in CEL",
        "do": "What it appends, with expressions",
        "do_type": "The type of what it appends",
        "rules": "How it waits, gathers, holds back and plans, by name",
        "paused": "Whether it is set up but does not fire",
        "fired": "How often it fired",
        "refused": "How many firings could not be made",
        "skipped": "How many firings a rule stopped that says so",
        "last_fired_at": "When it fired last, UTC",
        "last_cause": "The id of the event that it fired for last",
        "last_produced": "The type and id of what it appended last",
        "last_asked_at": "When somebody last asked it to fire, UTC",
        "request": "The id of the event that declared it",
        "former": "What stands should the declaration be refused",
    },
    {
        TriggerRequested: _requested,
        TriggerPauseRequested: _paused,
        TriggerResumeRequested: _resumed,
        TriggerFireRequested: _asked,
        TriggerDeleted: _deleted,
        TriggerFired: _fired,
        TriggerSkipped: _skipped,
        TriggerRejected: _rejected,
    },
)
