"""Messages between the wire and the rules: `Recorded` as read, `Draft` as decided."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from penstock_chassis.ports import Guard, Message, StoredMessage
from penstock_schemas import (
    ANYONE,
    Aggregate,
    Envelope,
    Event,
    InvalidEvent,
    Subject,
    check_references,
    decode,
    derived_id,
    parse_subject,
    read_envelope,
)

WISHED = "requested"
"""How the verb of a wish ends."""


@dataclass(frozen=True, slots=True)
class Cause:
    """What a new event refers back to: enough to derive its id and its place in the story."""

    id: str
    namespace: str
    correlation_id: str
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event as it stands in the log, in its newest version."""

    event: Event
    namespace: str
    sequence: int
    time: datetime
    """When the log stored it, UTC."""
    id: str
    source: str
    correlation_id: str
    causation_id: str | None = None
    traceparent: str | None = None

    @property
    def type(self) -> str:
        """The event's type."""
        return self.event.type

    @property
    def aggregate(self) -> Aggregate:
        """The aggregate that the event belongs to."""
        return self.event.aggregate(self.namespace)

    @property
    def cause(self) -> Cause:
        """This event as the cause of another."""
        return Cause(self.id, self.namespace, self.correlation_id, self.traceparent)


@dataclass(frozen=True, slots=True)
class Draft:
    """An event to append in another namespace than the decision's cause has, or for another cause:
    a decision about many things tells the story of each."""

    event: Event
    namespace: str
    cause: Cause | None = None


def read_recorded(stored: StoredMessage, subject: Subject | None = None) -> Recorded:
    """Decode a stored message; `subject` is its parsed subject where the caller has it already.

    Raises a `SchemaError`: `InvalidSubject`, `InvalidEnvelope`, `UnknownType`, or `InvalidEvent`
    with its fields, among them the id that contradicts the subject. A fact of the outside that
    names an object of another namespace is none: nobody folds it. (A wish that does is read, and
    answered by a refusal.)
    """
    subject = subject or parse_subject(stored.subject)
    envelope = read_envelope(stored.headers, subject, stored.sequence, stored.time)
    event = decode(envelope.type, envelope.version, stored.payload)
    if event.id != subject.id:
        problem = f"says {event.id!r} but the subject names {subject.id!r}: make them equal"
        raise InvalidEvent(
            f"{event.type} is not valid: {event.key}: {problem}", ((event.key, problem),)
        )
    if event.owner == ANYONE and not subject.verb.endswith(WISHED):
        check_references(event, subject.namespace)
    return Recorded(
        event=event,
        namespace=subject.namespace,
        sequence=stored.sequence,
        time=stored.time,
        id=envelope.id,
        source=envelope.source,
        correlation_id=envelope.correlation_id,
        causation_id=envelope.causation_id,
        traceparent=envelope.traceparent,
    )


def to_message(
    draft: Draft,
    *,
    source: str,
    cause: Cause | None,
    id: str,
    now: datetime,
    guard: Guard | None = None,
    traceparent: str | None = None,
) -> Message:
    """The message that carries a draft; `traceparent` stands before the cause's."""
    subject = draft.event.subject(draft.namespace)
    envelope = Envelope(
        id=id,
        source=source,
        type=draft.event.type,
        version=draft.event.version,
        subject=subject.id,
        time=now,
        correlation_id=cause.correlation_id if cause else id,
        causation_id=cause.id if cause else None,
        traceparent=traceparent if traceparent else (cause.traceparent if cause else None),
    )
    return Message(str(subject), draft.event.payload(), envelope.headers(), id, guard)


def draft_ids(cause: Cause, source: str, drafts: Sequence[Draft]) -> list[str]:
    """The ids of what one handler decides for one cause: the same each time it decides so.

    A draft with a cause of its own has its id from that.
    """
    counts: dict[tuple[str, str], int] = {}
    ids = []
    for draft in drafts:
        purpose = f"{source} {draft.event.type} {draft.event.aggregate(draft.namespace)}"
        name = ((draft.cause or cause).id, purpose)
        number = counts[name] = counts.get(name, -1) + 1
        ids.append(derived_id(*name, number))
    return ids
