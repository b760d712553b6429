"""The envelope: CloudEvents 1.0 in binary mode over NATS headers.

Every attribute is one header `ce-<name>`, percent-encoded as the binding asks (space, quote,
percent sign and everything outside printable ASCII). The payload stays plain JSON. A message
without any `ce-` header is accepted where its subject names the type: the envelope is filled in
from the subject, and its id from the stream sequence, so that reading it twice gives the same id.

Sources: CloudEvents 1.0.2 and its NATS protocol binding 1.0.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import quote, unquote

from penstock_schemas.errors import InvalidEnvelope
from penstock_schemas.names import derived_id
from penstock_schemas.subjects import Subject

SPEC_VERSION = "1.0"
SCHEMA_URN = "urn:penstock:schema"
ENVELOPE_FIELD_LENGTH_MAX = 1024
"""Characters of one header in its canonical encoding, the one in which we write it ourselves: a
foreign id that is accepted here can always be named as the cause of an event of ours."""

ENVELOPE_PLAIN_LENGTH_MAX = ENVELOPE_FIELD_LENGTH_MAX // 3
"""Up to here a header cannot grow too long: 3 is the most that encoding can add."""

SCHEMAS_REMEMBERED_MAX = 1024

_SAFE = "".join(chr(c) for c in range(0x21, 0x7F) if chr(c) not in '"%')
_PLAIN = re.compile(f"[{re.escape(_SAFE)}]*")
"""What encoding leaves as it is."""
_NAMES = frozenset(
    {
        "ce-specversion",
        "ce-id",
        "ce-source",
        "ce-type",
        "ce-subject",
        "ce-time",
        "ce-dataschema",
        "ce-correlationid",
        "ce-causationid",
        "content-type",
        "traceparent",
        "Nats-Msg-Id",
        "Nats-Expected-Last-Subject-Sequence",
        "Nats-Expected-Last-Subject-Sequence-Subject",
    }
)
"""What our own messages carry. Where there is nothing else, no name has to be put in lower case."""
_SCHEMA = re.compile(rf"{SCHEMA_URN}:([a-z0-9.-]+):([0-9]{{1,6}})")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who says what, when and because of what.

    `correlation_id` is the id of the first event of the whole story; `causation_id` is the id of
    the event that led directly to this one (absent for a root). `subject` is the id of the
    aggregate, the last token of the NATS subject.
    """

    id: str
    source: str
    type: str
    version: int
    subject: str
    time: datetime
    correlation_id: str
    causation_id: str | None = None
    traceparent: str | None = None

    def headers(self) -> dict[str, str]:
        """The NATS headers of the binary mode."""
        headers = {
            "ce-specversion": SPEC_VERSION,
            "ce-id": _encoded(self.id),
            "ce-source": _encoded(self.source),
            "ce-type": self.type,
            "ce-subject": self.subject,
            "ce-time": self.time.astimezone(UTC).isoformat().replace("+00:00", "Z"),
            "ce-dataschema": f"{SCHEMA_URN}:{self.type}:{self.version}",
            "ce-correlationid": _encoded(self.correlation_id),
            "content-type": "application/json",
        }
        if self.causation_id is not None:
            headers["ce-causationid"] = _encoded(self.causation_id)
        if self.traceparent is not None:
            headers["traceparent"] = self.traceparent
        return headers


def read_envelope(
    headers: Mapping[str, str] | None, subject: Subject, sequence: int, time: datetime
) -> Envelope:
    """The envelope of a stored message; raises `InvalidEnvelope`.

    `sequence` and `time` are the stream's own: they stand in for an absent id and time.
    """
    raw: Mapping[str, str] = headers or {}
    if not _NAMES.issuperset(raw):
        raw = {name.lower(): value for name, value in raw.items()}
    if raw.get("content-type", "").startswith("application/cloudevents"):
        raise InvalidEnvelope(
            "the message is a CloudEvent in structured mode: send it in binary mode, the "
            "attributes as ce-* headers and the data as the payload"
        )
    found = {
        name: value  # the usual case
        if len(value) <= ENVELOPE_PLAIN_LENGTH_MAX and "%" not in value and value.isascii()
        else _decoded(name, value)
        for name, value in raw.items()
        if name.startswith("ce-")
    }
    _agree(found, "ce-type", subject.type)
    _agree(found, "ce-subject", subject.id)
    if not found.get("ce-specversion", SPEC_VERSION).startswith("1."):
        raise InvalidEnvelope(f"header ce-specversion is not {SPEC_VERSION}")
    id = found.get("ce-id") or derived_id(str(subject), "unenveloped", sequence)
    parent = raw.get("traceparent")
    return Envelope(
        id=id,
        source=found.get("ce-source") or "unknown",
        type=subject.type,
        version=_version(found.get("ce-dataschema"), subject.type),
        subject=subject.id,
        time=_time(found.get("ce-time"), time),
        correlation_id=found.get("ce-correlationid") or id,
        causation_id=found.get("ce-causationid") or None,
        traceparent=parent if parent and _TRACEPARENT.fullmatch(parent) else None,
    )


def _encoded(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else quote(text, safe=_SAFE)


def _decoded(name: str, value: str) -> str:
    if len(value) > ENVELOPE_FIELD_LENGTH_MAX:  # before any work on it
        raise InvalidEnvelope(f"header {name} is longer than {ENVELOPE_FIELD_LENGTH_MAX}")
    text = unquote(value)
    try:
        length = len(_encoded(text))
    except UnicodeEncodeError:
        raise InvalidEnvelope(f"header {name} is not UTF-8: percent-encode it") from None
    if length > ENVELOPE_FIELD_LENGTH_MAX:
        raise InvalidEnvelope(
            f"header {name} is longer than {ENVELOPE_FIELD_LENGTH_MAX} when percent-encoded"
        )
    return text


def _agree(found: Mapping[str, str], name: str, expected: str) -> None:
    if found.get(name, expected) != expected:
        raise InvalidEnvelope(
            f"header {name} says {found[name][:120]!r} but the NATS subject says {expected!r}: "
            "make them equal"
        )


@lru_cache(maxsize=SCHEMAS_REMEMBERED_MAX)
def _version(schema: str | None, type: str) -> int:
    """The version that the header names; 1 where it names none, as the oldest clients write."""
    if not schema:
        return 1
    match = _SCHEMA.fullmatch(schema)
    if match is None or match[1] != type:
        raise InvalidEnvelope(
            f"header ce-dataschema {schema[:120]!r} is not {SCHEMA_URN}:{type}:<version>"
        )
    return int(match[2])


def _time(text: str | None, fallback: datetime) -> datetime:
    if not text:
        return fallback
    try:
        parsed = datetime.fromisoformat(text)
        # Some years near 1 and 9999 exist in their own zone only: OverflowError.
        if parsed.tzinfo is UTC:
            return parsed
        return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise InvalidEnvelope(f"header ce-time {text[:60]!r} is not an RFC 3339 time") from None
