"""Triggers: what is owed becomes events, one atomic append for each.

A firing and what it asks for are one batch, so that neither is there without the other. What
cannot be made is refused once, by `trigger.rejected` with the field and the fix. What would feed
itself, and planned times that passed while nothing ran, are answered by `trigger.skipped`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from penstock_chassis.message import Recorded
from penstock_gateway.domain.descent import Descents, TriggerKey
from penstock_gateway.domain.endings import cancel_type
from penstock_gateway.domain.expressions import Compile
from penstock_gateway.domain.firing import Firing, Member, Owed
from penstock_gateway.domain.judging import (
    EVENTS,
    ROW,
    event_variables,
    gathered_variables,
    planned_variables,
)
from penstock_gateway.domain.templates import InvalidTemplate, codes, render
from penstock_gateway.domain.trigger_book import Trigger, TriggerBook
from penstock_gateway.domain.view import Row, utc_text
from penstock_gateway.errors import GatewayError
from penstock_schemas import (
    ADMIN,
    Event,
    InvalidEvent,
    TriggerFired,
    TriggerFireRequested,
    TriggerRejected,
    TriggerRequested,
    TriggerSkipped,
    check_references,
    decode,
    event_class,
    role_to_send,
    unknown_fields,
)

REASON_LENGTH_MAX = 900
PLACE_LENGTH_MAX = 200
PAYLOAD_LENGTH_MAX = 500_000
"""Characters of JSON in what a firing asks for: well below what one message may hold."""
MISSED_AFTER_SECONDS = 60.0
"""A planned time that is later than this was missed: nothing ran when it came."""


class Unfit(GatewayError):
    """A firing cannot be made: the field at fault, what is wrong, what to do."""

    def __init__(self, field: str, reason: str, fix: str) -> None:
        super().__init__(reason)
        self.field, self.reason, self.fix = field, reason, fix


@dataclass(frozen=True, slots=True)
class Material:
    """What the templates of a firing are filled from."""

    last: Recorded | None = None
    """Its last event; None for a planned time."""
    payloads: Sequence[Any] = ()
    """Of its listed events, where the templates ask for them."""
    row: Row | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """What a trigger says at one go, and what it refers back to."""

    key: TriggerKey
    firing: Firing
    cause: Member
    events: tuple[Event, ...]
    traceparent: str | None = None


def next_owed(trigger: Trigger, now: datetime) -> Owed | None:
    """What the trigger is to say next; planned times that were missed by its policy."""
    if not trigger.timing.owed:
        return None
    head = trigger.timing.owed[0]
    declared = head.declared
    if head.kind != "fire" or head.firing.members or declared is None or declared.cron is None:
        return head
    late = now - timedelta(seconds=MISSED_AFTER_SECONDS)
    missed = [
        owed
        for owed in trigger.timing.owed
        if not owed.firing.members and owed.kind == "fire" and owed.firing.due < late
    ]
    if not missed:
        return head
    policy, latest = declared.cron.missed, missed[-1].firing
    count = len(missed) + trigger.timing.planned_lost
    if policy == "all":
        if trigger.timing.planned_lost == 0:
            return head
        latest, count = missed[0].firing, trigger.timing.planned_lost + 1
    elif policy == "once":
        return Owed(Firing(latest.due, (), count, latest.planned), declared=declared)
    reason = f"{count} planned times passed while nothing ran"
    return Owed(Firing(latest.due, (), count, latest.planned), "missed", reason, declared=declared)


def asks_for(declared: TriggerRequested, compile: Compile) -> frozenset[str]:
    """The variables that the templates of a trigger name."""
    found: frozenset[str] = frozenset()
    for _, text in codes(declared.do.data, "do.data"):
        found |= compile(text).names
    return found & {ROW, EVENTS}


def say(
    book: TriggerBook,
    key: TriggerKey,
    owed: Owed,
    material: Material,
    compile: Compile,
    number: int | None = None,
) -> Said:
    """The events that answer what is owed; `number` is that of a firing, else the next one's."""
    trigger, firing = book.triggers[key], owed.firing
    cause = firing.members[-1] if firing.members else _declaration(trigger, firing)
    try:
        events = _events(
            book.descents,
            key,
            trigger,
            owed,
            material,
            cause,
            compile,
            number or trigger.number + 1,
        )
    except Unfit as unfit:
        events = (_rejected(key[1], firing, cause.id, unfit.field, unfit.reason, unfit.fix),)
    trace = material.last.traceparent if material.last is not None else None
    return Said(key, firing, cause, events, trace)


def _events(
    descents: Descents,
    key: TriggerKey,
    trigger: Trigger,
    owed: Owed,
    material: Material,
    cause: Member,
    compile: Compile,
    number: int,
) -> tuple[Event, ...]:
    firing, declared = owed.firing, owed.declared
    if owed.fault is not None:
        return (_rejected(key[1], firing, cause.id, *owed.fault),)
    assert declared is not None
    causes = [member.id for member in firing.members] or [cause.id]
    loop = descents.loop(key, cause.correlation_id, causes)
    kind, reason = ("loop", loop) if loop else (owed.kind, owed.reason)
    if kind != "fire":
        return (_skipped(key[1], firing, cause, kind, reason),)
    variables = variables_for(key[0], firing, material, number)
    produced = produce(declared, key[0], variables, compile)
    fired = TriggerFired(
        trigger=key[1],
        number=number,
        cause=cause.id,
        cause_type=cause.type,
        produced_type=produced.type,
        produced_id=produced.id,
        firing=firing.key,
        through=firing.through,
        planned=firing.planned,
        due=firing.due,
        count=firing.count,
        causes=tuple(causes) if len(causes) > 1 else (),
    )
    return (fired, *_cancels(trigger, declared, produced), produced)


def variables_for(
    namespace: str, firing: Firing, material: Material, number: int
) -> dict[str, Any]:
    """What the templates of a firing may name."""
    if material.last is not None:
        variables = event_variables(material.last, number, material.row)
    else:
        assert firing.planned is not None
        variables = planned_variables(namespace, firing.planned, number)
    return gathered_variables(variables, material.payloads, firing.count)


def produce(
    declared: TriggerRequested, namespace: str, variables: Mapping[str, Any], compile: Compile
) -> Event:
    """The event that a firing asks for, which whoever declared the trigger could have sent
    through the API; raises `Unfit`."""
    type = declared.do.type
    try:
        data = render(declared.do.data, "do.data", variables, compile)
        payload = json.dumps(data, allow_nan=False)
        if len(payload) > PAYLOAD_LENGTH_MAX:
            problem = f"the event would have {len(payload)} characters of JSON"
            raise Unfit("do.data", problem, f"keep it below {PAYLOAD_LENGTH_MAX}")
        event = decode(type, event_class(type).version, payload)
        check_references(event, namespace)
    except InvalidTemplate as error:
        raise Unfit(error.path, error.problem, f"mend {error.path}") from None
    except InvalidEvent as error:
        at, problem = error.fields[0] if error.fields else ("", str(error))
        place = f"do.data.{at}" if at else "do.data"
        raise Unfit(place, f"{type}: {problem}", f"mend {place}") from None
    _check_sender(declared, event)
    for path, names in unknown_fields(event, data):
        place = ".".join(map(str, ("do", "data", *path)))[:PLACE_LENGTH_MAX]
        fix = f"use one of: {', '.join(names[:20])}" if names else "leave it out"
        raise Unfit(place, f"{type} has no such field", fix)
    return event


def _check_sender(declared: TriggerRequested, event: Event) -> None:
    """Refuse what takes more than declaring the trigger took: a template computed it."""
    if role_to_send(event) == ADMIN and role_to_send(declared) != ADMIN:
        place = "do.data.by_admin" if isinstance(event, TriggerFireRequested) else "do.data.do.type"
        raise Unfit(
            place,
            f"an {event.type} like this takes an admin, and the declaration does not show it",
            f"let an admin declare the trigger, with {place} in plain words",
        )


def _cancels(trigger: Trigger, declared: TriggerRequested, produced: Event) -> list[Event]:
    """The wishes that end what the last firings asked for, where this one takes its place."""
    if declared.concurrency is None or declared.concurrency.policy != "replace":
        return []
    type = cancel_type(declared.do.type)
    assert type is not None
    contract = event_class(type)
    reason = f"trigger {declared.trigger} replaces it"
    known = {"reason": reason} if "reason" in contract.model_fields else {}
    ids = [run.partition("/")[2] for run in trigger.timing.running]
    return [contract.model_validate({contract.key: id, **known}) for id in ids if id != produced.id]


def _declaration(trigger: Trigger, firing: Firing) -> Member:
    """What a planned firing refers back to; each is a story of its own."""
    assert firing.planned is not None
    story = f"{trigger.request} {utc_text(firing.planned)}"
    return Member(trigger.sequence, trigger.request, TriggerRequested.type, story)


def _skipped(name: str, firing: Firing, cause: Member, kind: str, reason: str) -> TriggerSkipped:
    return TriggerSkipped.model_validate(
        {
            "trigger": name,
            "kind": kind,
            "cause": cause.id,
            "cause_type": cause.type,
            "reason": reason[:REASON_LENGTH_MAX],
            "firing": firing.key,
            "through": firing.through,
            "planned": firing.planned,
            "count": firing.count,
        }
    )


def _rejected(
    name: str, firing: Firing, request: str, at: str, reason: str, fix: str
) -> TriggerRejected:
    return TriggerRejected(
        trigger=name,
        request=request,
        reason=reason[:REASON_LENGTH_MAX],
        field=at,
        fix=fix,
        firing=firing.key,
        through=firing.through,
        planned=firing.planned,
    )
