"""What an expression of a trigger may name, and what its condition says."""

import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from penstock_chassis.message import Recorded
from penstock_gateway.domain.expressions import Compile
from penstock_gateway.domain.firing import MANUAL, Fault
from penstock_gateway.domain.view import Row, utc_text
from penstock_gateway.errors import ExpressionError, MissingValue
from penstock_schemas import TriggerFireRequested, TriggerRequested

ROW = "row"
ALWAYS = "true"
EVENTS = "events"
CONDITION_NAMES = frozenset({"event", "meta", "number", ROW})
ACTION_NAMES = CONDITION_NAMES | {EVENTS, "count"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a trigger's condition says of an event."""

    holds: bool
    reason: str = ""
    """Why it does not hold, for a person."""
    fault: Fault | None = None
    """Where it cannot be said."""


HOLDS = Verdict(True)


def judge(declared: TriggerRequested, variables: Mapping[str, Any], compile: Compile) -> Verdict:
    """Whether the condition of a trigger holds."""
    if declared.when == ALWAYS:
        return HOLDS
    try:
        holds = compile(declared.when).evaluate(variables)
    except MissingValue as error:
        # An event without the field that is asked for does not fulfil the condition.
        return Verdict(False, f"`when` does not hold: {error}")
    except ExpressionError as error:
        return Verdict(False, fault=("when", str(error), "mend the condition"))
    if not isinstance(holds, bool):
        problem = f"the condition gave {json.dumps(holds)[:80]}, neither true nor false"
        return Verdict(False, fault=("when", problem, "compare it with something"))
    return HOLDS if holds else Verdict(False, f"`when` does not hold: {declared.when}")


def event_variables(
    recorded: Recorded,
    number: int,
    row: Row | None = None,
    names: Container[str] = CONDITION_NAMES,
) -> dict[str, Any]:
    """What an expression may name of one event; `row` where it asks for it. `names` are those
    that it does name: a payload that nobody looks at is not made."""
    event = recorded.event
    by_hand = isinstance(event, TriggerFireRequested) and event.type == MANUAL
    payload: Any = {}
    if isinstance(event, TriggerFireRequested) and by_hand:
        payload = event.data
    elif "event" in names:
        payload = event.model_dump(mode="json")
    return {
        "event": payload,
        "meta": {
            "id": recorded.id,
            "type": recorded.type,
            "namespace": recorded.namespace,
            "sequence": recorded.sequence,
            "time": utc_text(recorded.time),
        },
        "number": number,
        ROW: dict(row) if row is not None else {},
    }


def planned_variables(namespace: str, planned: datetime, number: int) -> dict[str, Any]:
    """What an expression may name of a planned time."""
    return {
        "event": {"time": utc_text(planned)},
        "meta": {
            "id": "",
            "type": "",
            "namespace": namespace,
            "sequence": 0,
            "time": utc_text(planned),
        },
        "number": number,
        ROW: {},
    }


def gathered_variables(
    variables: Mapping[str, Any], payloads: Sequence[Any], count: int
) -> dict[str, Any]:
    """What a template may name beside."""
    return {**variables, EVENTS: list(payloads), "count": count}
