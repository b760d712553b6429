"""JSON answers, and events and rows as the API writes them."""

from typing import Any

import orjson
from starlette.responses import Response

from penstock_chassis.message import read_recorded
from penstock_chassis.ports import StoredMessage
from penstock_gateway.domain.view import utc_text
from penstock_schemas import InvalidSubject, SchemaError, derived_id, parse_subject, read_envelope


def dump(value: Any) -> bytes:
    """A value as JSON."""
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)


def json_response(value: Any, status: int = 200) -> Response:
    """A JSON answer, never cached: it is true at one position of the log."""
    return json_bytes(dump(value), status)


def json_bytes(body: bytes, status: int = 200) -> Response:
    """An answer that is JSON already."""
    return Response(body, status, {"cache-control": "no-store"}, "application/json")


def event_document(stored: StoredMessage) -> dict[str, Any]:
    """An event as the API writes it; one that is not readable has `problem` instead of `data`."""
    try:
        event = read_recorded(stored)
    except SchemaError as error:
        return _unreadable(stored, str(error))
    return {
        "sequence": event.sequence,
        "time": utc_text(event.time),
        "id": event.id,
        "type": event.type,
        "version": event.event.version,
        "namespace": event.namespace,
        "subject_id": event.event.id,
        "source": event.source,
        "correlation_id": event.correlation_id,
        "causation_id": event.causation_id,
        "data": event.event.model_dump(mode="json"),
    }


def _unreadable(stored: StoredMessage, problem: str) -> dict[str, Any]:
    document: dict[str, Any] = {
        "sequence": stored.sequence,
        "time": utc_text(stored.time),
        "id": derived_id(stored.subject, "unenveloped", stored.sequence),
        "type": "",
        "version": 0,
        "namespace": "",
        "subject_id": "",
        "source": "unknown",
        "correlation_id": None,
        "causation_id": None,
        "subject": stored.subject,
        "problem": problem,
    }
    try:
        subject = parse_subject(stored.subject)
        document |= {
            "type": subject.type,
            "namespace": subject.namespace,
            "subject_id": subject.id,
        }
        envelope = read_envelope(stored.headers, subject, stored.sequence, stored.time)
        document |= {
            "id": envelope.id,
            "version": envelope.version,
            "source": envelope.source,
            "correlation_id": envelope.correlation_id,
            "causation_id": envelope.causation_id,
        }
    except InvalidSubject:
        document["namespace"] = [*stored.subject.split("."), ""][1]
    except SchemaError:
        document["correlation_id"] = document["id"]
    return document
