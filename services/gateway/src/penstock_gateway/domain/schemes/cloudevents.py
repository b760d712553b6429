"""CloudEvents 1.0 over HTTP: binary, structured and batched, shown by token or signed by HMAC.

What is kept is the event in its JSON format; its `source` and `id` together are the delivery's
id, as the specification says. The events of a batch become events of their own, all or none. In
binary mode an HMAC covers the data alone, since the attributes are headers.
"""

import base64
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from penstock_gateway.domain.schemes.hmac_header import PROOF_OPTIONS, check, prove_hmac
from penstock_gateway.domain.schemes.proofs import by_authorization
from penstock_gateway.domain.schemes.reading import digest_id, is_json, media_type, parse
from penstock_gateway.domain.schemes.scheme import Fault, Scheme
from penstock_gateway.domain.webhooks import (
    DELIVERY_ID_LENGTH_MAX,
    Delivered,
    Incoming,
    Refused,
)
from penstock_schemas import SourceSpec

STRUCTURED, BATCHED = "application/cloudevents+json", "application/cloudevents-batch+json"
PREFIX = "ce-"
NEEDED = ("specversion", "id", "source", "type")


def verify(
    incoming: Incoming, source: SourceSpec, keys: Sequence[str], now: datetime
) -> Sequence[Delivered]:
    """See `Verify`."""
    if source.options.header:
        prove_hmac(incoming, source, keys, now)
    else:
        by_authorization(incoming, keys)
    kind = media_type(incoming)
    if kind == BATCHED:
        events = parse(incoming.body)
        if not isinstance(events, list) or not events:
            raise Refused("body", "a batch is a list of events, at least one")
        return [_delivered(event) for event in events]
    if kind == STRUCTURED:
        return (_delivered(parse(incoming.body)),)
    if not incoming.header("ce-specversion"):
        raise Refused("type", f"neither {STRUCTURED}, {BATCHED} nor an event in ce- headers")
    return (_delivered(_from_headers(incoming, kind)),)


def _from_headers(incoming: Incoming, kind: str) -> dict[str, Any]:
    """The event of a request in binary mode, in its JSON format."""
    event: dict[str, Any] = {
        name.removeprefix(PREFIX): unquote(value)
        for name, value in incoming.headers.items()
        if name.startswith(PREFIX)
    }
    if kind:
        event["datacontenttype"] = incoming.header("content-type")
    if not incoming.body:
        return event
    if is_json(kind) or not kind:
        return event | {"data": parse(incoming.body)}
    if kind.startswith("text/"):
        try:
            return event | {"data": incoming.body.decode()}
        except UnicodeDecodeError:
            pass
    return event | {"data_base64": base64.b64encode(incoming.body).decode()}


def _delivered(event: Any) -> Delivered:
    if not isinstance(event, dict):
        raise Refused("body", "an event is a JSON object")
    for name in NEEDED:
        if not isinstance(event.get(name), str) or not event[name]:
            raise Refused("body", f"{name}: an event needs it, as text")
    if event["specversion"] != "1.0":
        raise Refused("body", "specversion: only 1.0 is read")
    id = f"{event['source']} {event['id']}"
    if len(id) > DELIVERY_ID_LENGTH_MAX or not id.isprintable():
        id = digest_id(event["source"], event["id"])
    return Delivered(id, event["type"], event)


def _check(source: SourceSpec) -> Fault | None:
    return check(source) if source.options.header else None


SCHEME = Scheme("cloudevents", verify, PROOF_OPTIONS, _check)
