"""Publishing: wishes and outside facts of anybody, answered once they are durable in the log."""

import re
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from penstock_gateway.http.access import require_wish
from penstock_gateway.http.answers import dump, json_response
from penstock_gateway.http.appending import append_new, append_once
from penstock_gateway.http.context import context_of, source_of
from penstock_gateway.http.parameters import json_object, namespace_of
from penstock_gateway.http.problems import Problem
from penstock_schemas import (
    ANYONE,
    Event,
    InvalidEvent,
    UnknownType,
    check_references,
    decode,
    derived_id,
    event_class,
    new_id,
)

KEY_LENGTH_MAX = 255
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


async def publish(request: Request) -> Response:
    """Append one event."""
    context, namespace = context_of(request), namespace_of(request, writes=True)
    key = request.headers.get("idempotency-key")
    if key is not None and not 1 <= len(key) <= KEY_LENGTH_MAX:
        raise Problem(
            400, f"the key has not 1 to {KEY_LENGTH_MAX} characters", field="idempotency-key"
        )
    event = _event(await json_object(request), namespace)
    require_wish(request, event)
    trace = request.headers.get("traceparent", "")
    traceparent = trace if _TRACEPARENT.fullmatch(trace) else None
    if key is None:
        id = new_id()
        appended = await append_new(
            context, event, namespace, id, source=source_of(request), traceparent=traceparent
        )
    else:
        id = derived_id(f"{namespace}\n{event.type}\n{event.id}\n{key}", "idempotency key")
        appended = await append_once(
            context, event, namespace, id, source=source_of(request), traceparent=traceparent
        )
    receipt = {"id": id, "sequence": appended.sequence, "duplicate": appended.duplicate}
    return json_response(receipt, 202)


def _event(body: Any, namespace: str) -> Event:
    """The event in a request's body; each fault names its field."""
    type, data = body.get("type"), body.get("data")
    if unknown := sorted(set(body) - {"type", "data"}):
        hint = 'send {"type": …, "data": …}'
        raise Problem(
            422, f"the body has no field {unknown[0][:80]!r}", field=unknown[0], hint=hint
        )
    if not isinstance(type, str):
        raise Problem(
            422, "the type of the event is needed", field="type", hint="e.g. job.requested"
        )
    try:
        contract = event_class(type)
    except UnknownType as error:
        raise Problem(422, str(error), field="type") from None
    if contract.owner != ANYONE:
        owners = " or ".join(contract.appenders())
        raise Problem(
            403,
            f"{type} is a fact that only the service {owners} may state",
            field="type",
            hint=f"ask for what you want with a wish, e.g. {contract.noun()}.requested",
        )
    if not isinstance(data, dict):
        raise Problem(422, "the data of the event is needed, a JSON object", field="data")
    for name in data:
        if name not in contract.model_fields:
            known = ", ".join(contract.model_fields)
            raise Problem(
                422, f"{type} has no field {name[:80]!r}", field=name[:80], hint=f"one of: {known}"
            )
    try:
        event = decode(type, contract.version, dump(data))
        check_references(event, namespace)
    except InvalidEvent as error:
        at, problem = error.fields[0] if error.fields else ("data", str(error))
        raise Problem(422, str(error), field=at, hint=f"{at}: {problem}") from None
    return event


ROUTES = [Route("/v1/{namespace}/event", publish, methods=["POST"])]
