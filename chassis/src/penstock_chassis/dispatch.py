"""From a delivery to a handler: decode, answer what is not valid, call `on_<event>`, and write
the one canonical log line and the metrics of the event.

A wish that can be placed but does not fit its contract is answered by `<noun>.rejected`, which
says the field and the fix. What cannot be placed at all (no subject of ours, an unknown type or
version, contradicting headers) is rejected to the dead letters. Neither disturbs anything else.
An event that names an object of another namespace is not valid, whichever way it came.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import unquote

import structlog

from penstock_chassis.errors import Conflict, Reject, Retry
from penstock_chassis.message import Cause, Draft, Recorded, read_recorded, to_message
from penstock_chassis.metrics import REDELIVERED, handled, handling_seconds
from penstock_chassis.ports import Delivery, Message, Ports, StoredMessage
from penstock_chassis.tracing import process_span
from penstock_schemas import (
    Event,
    InvalidEvent,
    SchemaError,
    UnknownType,
    check_references,
    derived_id,
    event_class,
    parse_subject,
)
from penstock_schemas.envelope import ENVELOPE_FIELD_LENGTH_MAX

REASON_LENGTH_MAX = 900

log = structlog.get_logger("penstock.event")


class Dispatcher:
    """Calls the handler of a delivery's event type."""

    def __init__(
        self,
        service: str,
        handlers: Mapping[type[Event], Callable[[Recorded], Awaitable[None]]],
        ports: Ports,
    ) -> None:
        self.service = service
        self._handlers = {event.type: handler for event, handler in handlers.items()}
        self._ports = ports
        # Bound once, with the configuration of now: to bind costs more than a filtered line.
        self._log = log.bind(service=service)

    async def dispatch(self, delivery: Delivery) -> None:
        """Decode and handle one delivery; the path without FastStream (simulation)."""
        message = await self.read(delivery.message)
        if message is not None:
            await self.handle(message, delivery.deliveries)

    async def read(self, stored: StoredMessage) -> Recorded | None:
        """The event, or None where it was a wish that has been answered by a refusal.

        Raises `Reject` for what cannot be read at all.
        """
        try:
            message = read_recorded(stored)
            check_references(message.event, message.namespace)
        except InvalidEvent as error:
            await self._refuse(stored, error)
            return None
        except SchemaError as error:
            raise Reject(str(error)) from None
        return message

    async def handle(self, message: Recorded, deliveries: int = 1) -> None:
        """Call the handler, measured and logged."""
        handler = self._handlers.get(message.type)
        if handler is None:
            raise Reject(f"service {self.service} has no handler for {message.type}")
        if deliveries > 1:
            REDELIVERED.labels(self.service, message.type).inc()
        started = time.perf_counter()
        outcome = "failed"
        try:
            with process_span(self.service, message):
                await handler(message)
            outcome = "handled"
        except Retry:
            outcome = "retry"
            raise
        except Reject:
            outcome = "rejected"
            raise
        except Conflict:
            outcome = "conflict"
            raise
        finally:
            seconds = time.perf_counter() - started
            handled(self.service, message.type, outcome).inc()
            handling_seconds(self.service, message.type).observe(seconds)
            self._log.info(
                "event",
                type=message.type,
                namespace=message.namespace,
                aggregate=message.event.id,
                event_id=message.id,
                sequence=message.sequence,
                deliveries=deliveries,
                outcome=outcome,
                duration_seconds=round(seconds, 6),
            )

    async def _refuse(self, stored: StoredMessage, error: InvalidEvent) -> None:
        """Answer an invalid wish by `<noun>.rejected`; raises `Reject` where there is none."""
        subject = parse_subject(stored.subject)
        try:
            answer = event_class(f"{subject.noun}.rejected")
        except UnknownType:
            answer = None
        if answer is None or answer.owner != self.service or not subject.verb.endswith("requested"):
            raise Reject(str(error)) from None
        request = unquote(stored.headers.get("ce-id", ""))[
            :ENVELOPE_FIELD_LENGTH_MAX
        ] or derived_id(stored.subject, "unenveloped", stored.sequence)
        field, problem = error.fields[0] if error.fields else ("", str(error))
        refusal = answer.model_validate(
            {
                answer.key: subject.id,
                "request": request,
                "reason": str(error)[:REASON_LENGTH_MAX],
                "field": field,
                "fix": f"correct {field}: {problem}"[:REASON_LENGTH_MAX] if field else "",
            }
        )
        cause = Cause(request, subject.namespace, request)
        message = to_message(
            Draft(refusal, subject.namespace),
            source=f"penstock/{self.service}",
            cause=cause,
            id=derived_id(stored.subject, "refused", stored.sequence),
            now=self._ports.clock.now(),
            guard=None,
        )
        await self._append_once(message, stored.sequence)

    async def _append_once(self, message: Message, after: int) -> None:
        """Append a refusal unless an earlier delivery of the same message already did."""
        for earlier in await self._ports.log.read(message.subject, after=after):
            if earlier.headers.get("ce-id") == message.id:
                return
        await self._ports.log.append([message])
