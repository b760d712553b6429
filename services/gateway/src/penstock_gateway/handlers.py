"""What the gateway does about events: triggers, sources, and the audit of what nobody can read."""

import structlog

from penstock_chassis.decider import Decider
from penstock_chassis.errors import Reject
from penstock_chassis.message import Recorded, read_recorded
from penstock_chassis.ports import Delivery
from penstock_gateway.domain import sources
from penstock_gateway.domain.expressions import Compile
from penstock_gateway.domain.sources import SourceBook
from penstock_gateway.domain.state import State
from penstock_gateway.domain.trigger_book import concerns
from penstock_gateway.domain.triggers import decide_firings, decide_requested
from penstock_schemas import (
    InvalidSubject,
    SchemaError,
    TriggerFired,
    TriggerRejected,
    UnknownType,
    event_class,
    parse_subject,
)

log = structlog.get_logger("penstock.gateway")


async def on_trigger_requested(desk: Decider[State], compile: Compile, message: Recorded) -> None:
    """Refuse a trigger that could never work."""
    await desk.handle(
        message, lambda state, event: decide_requested(state.triggers, event, compile)
    )


async def on_source_requested(desk: Decider[SourceBook], message: Recorded) -> None:
    """Set up a source of webhooks, or say why it would not work."""
    await desk.handle(message, sources.decide_requested)


async def on_any_event(desk: Decider[State], compile: Compile, delivery: Delivery) -> None:
    """Fire the triggers that wait for the event.

    Asked for every message of the log, so what concerns no trigger costs next to nothing. What
    cannot be read is left to the service that owns its type, or to the audit.
    """
    stored = delivery.message
    try:
        subject = parse_subject(stored.subject)
        event_class(subject.type)  # the fold follows known nouns only
    except (InvalidSubject, UnknownType):
        return
    await desk.fold.reach(stored.sequence)
    if not concerns(desk.fold.state.triggers, subject.namespace, subject.type):
        return
    try:
        message = read_recorded(stored)
    except SchemaError:
        return
    appended = await desk.handle(
        message, lambda state, event: decide_firings(state.triggers, event, compile)
    )
    for event in appended:
        if isinstance(event, TriggerFired | TriggerRejected):
            log.info(
                "trigger",
                trigger=event.trigger,
                namespace=message.namespace,
                cause=message.type,
                sequence=message.sequence,
                outcome=event.type.split(".")[1],
            )


async def audit(delivery: Delivery) -> None:
    """Send to the dead letters what no service handles: no subject of ours, or an unknown type."""
    try:
        event_class(parse_subject(delivery.message.subject).type)
    except (InvalidSubject, UnknownType) as error:
        raise Reject(str(error)) from None
