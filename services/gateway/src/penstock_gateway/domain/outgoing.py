"""What is sent for an event: the body, the id of the delivery, the signature, by Standard Webhooks.

The body is both of two things at once: a message of Standard Webhooks (`type`, `timestamp`,
`data`) and an event of CloudEvents 1.0 in its structured JSON form. The id of a delivery is the
same for every try and every replay, so that receivers can tell what they have taken before.
"""

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from penstock_chassis.message import Recorded
from penstock_gateway.domain.schemes.proofs import hmacs
from penstock_gateway.domain.schemes.standard import secret_bytes
from penstock_gateway.domain.view import utc_text
from penstock_schemas import derived_id, filter_of

SPEC_VERSION = "1.0"
MEDIA_TYPE = "application/json"
USER_AGENT = "penstock-webhooks/1"
KEY_BYTES_MIN = 16
"""A shorter key is a mistake; Standard Webhooks asks for 24 to 64 bytes."""
OURS = frozenset(
    {
        *("webhook-id", "webhook-timestamp", "webhook-signature", "host", "content-length"),
        *("transfer-encoding", "connection", "upgrade", "te", "trailer", "expect", "user-agent"),
    }
)
"""Headers that the platform alone sets."""
SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key"})
"""Headers whose value nobody should read in the log."""


def delivery_id(namespace: str, subscription: str, event_id: str) -> str:
    """The id that every delivery of this event to this subscription carries."""
    return f"msg_{derived_id(event_id, f'delivery to {namespace}/{subscription}')}"


def body_of(recorded: Recorded) -> bytes:
    """What is posted for an event, in its newest version."""
    time = utc_text(recorded.time)
    document = {
        "specversion": SPEC_VERSION,
        "id": recorded.id,
        "source": recorded.source,
        "type": recorded.type,
        "subject": recorded.event.id,
        "time": time,
        "timestamp": time,
        "namespace": recorded.namespace,
        "sequence": recorded.sequence,
        "version": recorded.event.version,
        "correlationid": recorded.correlation_id,
        **({"causationid": recorded.causation_id} if recorded.causation_id else {}),
        "data": recorded.event.model_dump(mode="json"),
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def signing_keys(values: Iterable[str]) -> list[bytes]:
    """The keys of a secret's values that can sign; those that cannot are left out."""
    keys = [secret_bytes(value) for value in values]
    return [key for key in keys if len(key) >= KEY_BYTES_MIN]


def signed_headers(
    id: str, body: bytes, keys: Sequence[bytes], extra: Mapping[str, str], now: datetime
) -> dict[str, str]:
    """The headers of one try: names in lower case, signed by every key, at this time."""
    timestamp = str(int(now.timestamp()))
    signed = b".".join((id.encode(), timestamp.encode(), body))
    signatures = [f"v1,{base64.b64encode(mac).decode()}" for mac in hmacs(keys, signed)]
    return {
        "content-type": MEDIA_TYPE,
        **{name.lower(): value for name, value in extra.items()},
        "user-agent": USER_AGENT,
        "webhook-id": id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(signatures),
    }


def split(pattern: str) -> tuple[str, str]:
    """A pattern's noun and verb: `job` and `job.*` are the same, and so are `*` and `*.*`."""
    noun, _, verb = pattern.partition(".")
    return noun, verb or "*"


def matches(patterns: Iterable[str], type: str) -> bool:
    """Whether an event type matches any pattern."""
    noun, _, verb = type.partition(".")
    pairs = (split(pattern) for pattern in patterns)
    return any(n in ("*", noun) and v in ("*", verb) for n, v in pairs)


def filters_of(namespace: str, patterns: Iterable[str]) -> tuple[str, ...]:
    """Subject filters, no two of which overlap (the server refuses those), that let through
    everything of the namespace that matches, and perhaps more."""
    verbs: dict[str, set[str]] = {}
    for noun, verb in map(split, patterns):
        verbs.setdefault(noun, set()).add(verb)
    if "*" in verbs:
        return (filter_of(namespace),)
    types = {
        f"{noun}.{verb}"
        for noun, those in verbs.items()
        for verb in ({"*"} if "*" in those else those)
    }
    return tuple(filter_of(namespace, type) for type in sorted(types))
