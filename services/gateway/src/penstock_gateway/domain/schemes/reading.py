"""How verified deliveries are read: JSON bodies, and places in headers or in the body."""

import hashlib
from typing import Any

import orjson

from penstock_gateway.domain.webhooks import Incoming, Refused

DEPTH_MAX = 64
"""How deep a body may be nested: readers of events recurse."""


def media_type(incoming: Incoming) -> str:
    """The content type without its parameters."""
    return incoming.header("content-type").partition(";")[0].strip().lower()


def is_json(kind: str) -> bool:
    """Whether a content type is JSON."""
    return kind == "application/json" or (
        kind.startswith("application/") and kind.endswith("+json")
    )


def json_body(incoming: Incoming) -> Any:
    """The body as JSON."""
    kind = media_type(incoming)
    if not is_json(kind):
        raise Refused("type", f"the content type is {kind[:80] or 'not given'}")
    return parse(incoming.body)


def parse(body: bytes) -> Any:
    """JSON, strictly: UTF-8, no NaN, not too deep."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refused("body", f"the body is not JSON: {error}") from None
    level = [document]
    for _ in range(DEPTH_MAX):
        level = [part for value in level for part in _parts(value)]
        if not level:
            return document
    raise Refused("body", f"the body is nested deeper than {DEPTH_MAX}")


def _parts(value: Any) -> Any:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def digest_id(*parts: Any) -> str:
    """An id made of what identifies a delivery, for senders that give none."""
    said = orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)
    return f"sha256-{hashlib.sha256(said).hexdigest()}"


def body_id(incoming: Incoming) -> str:
    """An id made of the whole body: the sender's retry has the same bytes."""
    return f"sha256-{hashlib.sha256(incoming.body).hexdigest()}"


def at(incoming: Incoming, document: Any, place: str) -> str:
    """What stands at `header:<name>` or `body:<field>.<field>`; empty where nothing does."""
    where, _, path = place.partition(":")
    if where == "header":
        return incoming.header(path)
    for name in path.split("."):
        document = document.get(name) if isinstance(document, dict) else None
    if isinstance(document, bool) or not isinstance(document, str | int | float):
        return ""
    return str(document)


def text_of(document: Any, *names: str) -> str:
    """The text below a path of fields, empty where there is none."""
    for name in names:
        document = document.get(name) if isinstance(document, dict) else None
    return document if isinstance(document, str) else ""
