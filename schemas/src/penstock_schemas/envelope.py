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
from urllib.parse import quote, unquote

from penstock_schemas.errors import InvalidEnvelope
from penstock_schemas.names import derived_id
from penstock_schemas.subjects import Subject

SPEC_VERSION = "1.0"
SCHEMA_URN = "urn:penstock:schema"
ENVELOPE_FIELD_LENGTH_MAX = 1024

_SAFE = "".join(chr(c) for c in range(0x21, 0x7F) if chr(c) not in '"%')
_SCHEMA = re.compile(rf"^{SCHEMA_URN}:([a-z0-9.-]+):([0-9]{{1,6}})$")
_TRACEPARENT = re.compile(r"^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$")


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who says what, when and because of what.

    `correlation_id` is the id of the first event of the whole story; `causation_id` is the id of
    the event that led directly to this one (absent for a root).
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
            "ce-id": quote(self.id, safe=_SAFE),
            "ce-source": quote(self.source, safe=_SAFE),
            "ce-type": self.type,
            "ce-subject": self.subject,
            "ce-time": self.time.astimezone(UTC).isoformat().replace("+00:00", "Z"),
            "ce-dataschema": f"{SCHEMA_URN}:{self.type}:{self.version}",
            "ce-correlationid": quote(self.correlation_id, safe=_SAFE),
            "content-type": "application/json",
        }
        if self.causation_id is not None:
            headers["ce-causationid"] = quote(self.causation_id, safe=_SAFE)
        if self.traceparent is not None:
            headers["traceparent"] = self.traceparent
        return headers


def read_envelope(
    headers: Mapping[str, str] | None, subject: Subject, sequence: int, time: datetime
) -> Envelope:
    """The envelope of a stored message; raises `InvalidEnvelope`.

    `sequence` and `time` are the stream's own: they stand in for an absent id and time.
    """
    found = {name.lower(): value for name, value in (headers or {}).items()}
    for name, value in found.items():
        if name.startswith("ce-") and len(value) > ENVELOPE_FIELD_LENGTH_MAX:
            raise InvalidEnvelope(f"header {name} is longer than {ENVELOPE_FIELD_LENGTH_MAX}")
    said = unquote(found.get("ce-type", subject.type))
    if said != subject.type:
        raise InvalidEnvelope(
            f"header ce-type says {said!r} but the subject names {subject.type!r}: make them equal"
        )
    id = unquote(found.get("ce-id") or "") or derived_id(str(subject), "unenveloped", sequence)
    parent = found.get("traceparent")
    return Envelope(
        id=id,
        source=unquote(found.get("ce-source", "unknown")),
        type=said,
        version=_version(found.get("ce-dataschema"), said),
        subject=subject.id,
        time=_time(found.get("ce-time"), time),
        correlation_id=unquote(found.get("ce-correlationid") or "") or id,
        causation_id=unquote(found["ce-causationid"]) if found.get("ce-causationid") else None,
        traceparent=parent if parent and _TRACEPARENT.match(parent) else None,
    )


def _version(schema: str | None, type: str) -> int:
    """The version that the header names; 1 where it names none, as the oldest clients write."""
    if not schema:
        return 1
    match = _SCHEMA.match(unquote(schema))
    if match is None or match[1] != type:
        raise InvalidEnvelope(
            f"header ce-dataschema {schema[:120]!r} is not {SCHEMA_URN}:{type}:<version>"
        )
    return int(match[2])


def _time(text: str | None, fallback: datetime) -> datetime:
    if not text:
        return fallback
    try:
        parsed = datetime.fromisoformat(unquote(text))
    except ValueError:
        raise InvalidEnvelope(f"header ce-time {text[:60]!r} is not an RFC 3339 time") from None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
