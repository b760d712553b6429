"""Publishing: wishes and outside facts of anybody, answered once they are durable in the log."""

import re
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from penstock_chassis.ports import Appended
from penstock_gateway.http.access import principal_of, require_wish
from penstock_gateway.http.answers import dump, json_response
from penstock_gateway.http.appending import append_new, append_once
from penstock_gateway.http.context import context_of, source_of
from penstock_gateway.http.describing import RECEIPT, Answer, describes
from penstock_gateway.http.parameters import json_object, namespace_of
from penstock_gateway.http.preconditions import Precondition, precondition_of
from penstock_gateway.http.problems import Problem
from penstock_schemas import (
    ADMIN,
    ANYONE,
    Event,
    InvalidEvent,
    TriggerFireRequested,
    UnknownType,
    check_references,
    decode,
    derived_id,
    event_class,
    new_id,
    unknown_fields,
)

KEY_LENGTH_MAX = 255
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


@describes(
    {202: RECEIPT},
    body=Answer("The event", "Publishable"),
    headers=("idempotency-key", "if-match", "if-none-match"),
    problems=(400, 412, 413, 415, 422),
)
async def publish(request: Request) -> Response:
    """Append one event: a wish, or a fact that only the outside can know. Durable when answered."""
    namespace = namespace_of(request, writes=True)
    event = _event(await json_object(request))
    return receipt(*await append_asked(request, namespace, event))


async def append_asked(
    request: Request, namespace: str, event: Event, since: int | None = None
) -> tuple[str, Appended]:
    """Append an event as the request's headers ask: once for its key, and under its condition or,
    where that was judged already, only where nothing has happened to the thing after `since`."""
    require_wish(request, event)
    _check_own(event, namespace)
    if isinstance(event, TriggerFireRequested):
        by_admin = principal_of(request).may(ADMIN, namespace)
        event = event.model_copy(update={"by_admin": by_admin})
    context, key, source = context_of(request), key_of(request), source_of(request)
    condition = precondition_of(request) if since is None else Precondition(since)
    trace = request.headers.get("traceparent", "")
    traceparent = trace if _TRACEPARENT.fullmatch(trace) else None
    if key is None and not condition:
        id = new_id()
        appended = await append_new(
            context, event, namespace, id, source=source, traceparent=traceparent
        )
        return id, appended
    name = f"{namespace}\n{event.type}\n{event.id}\n{key}"
    id = new_id() if key is None else derived_id(name, "idempotency key")
    appended = await append_once(
        context,
        event,
        namespace,
        id,
        precondition=condition,
        source=source,
        traceparent=traceparent,
    )
    return id, appended


def _check_own(event: Event, namespace: str) -> None:
    """Refuse an event that names objects of another namespace."""
    try:
        check_references(event, namespace)
    except InvalidEvent as error:
        at, problem = error.fields[0] if error.fields else ("data", str(error))
        raise Problem(422, str(error), field=at, hint=f"{at}: {problem}") from None


def receipt(id: str, appended: Appended, **more: Any) -> Response:
    """The answer to a write: the event's id, its sequence, and whether it was there before."""
    document = {"id": id, "sequence": appended.sequence, "duplicate": appended.duplicate}
    return json_response(document | more, 202)


def key_of(request: Request) -> str | None:
    """The idempotency key of a request, if it has one."""
    key = request.headers.get("idempotency-key")
    if key is not None and not 1 <= len(key) <= KEY_LENGTH_MAX:
        raise Problem(
            400, f"the key has not 1 to {KEY_LENGTH_MAX} characters", field="idempotency-key"
        )
    return key


def _event(body: Any) -> Event:
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
    return event_of(contract, data)


def event_of(contract: type[Event], data: Mapping[str, Any]) -> Event:
    """The event that `data` says; raises `Problem` (422) naming the field at fault."""
    for name in data:
        if name not in contract.model_fields:
            known = ", ".join(contract.model_fields)
            raise Problem(
                422,
                f"{contract.type} has no field {name[:80]!r}",
                field=name[:80],
                hint=f"one of: {known}",
            )
    try:
        event = decode(contract.type, contract.version, dump(data))
    except InvalidEvent as error:
        at, problem = error.fields[0] if error.fields else ("data", str(error))
        raise Problem(422, str(error), field=at, hint=f"{at}: {problem}") from None
    except TypeError as error:  # deeper than a writer of JSON goes
        raise Problem(422, f"the data cannot be kept: {error}", field="data") from None
    for path, names in unknown_fields(event, data):
        at = ".".join(map(str, path))[:200]
        hint = f"one of: {', '.join(names[:20])}" if names else "leave it out"
        raise Problem(422, f"{contract.type} has no field {at!r}", field=at, hint=hint)
    return event


ROUTES = [Route("/v1/{namespace}/event", publish, methods=["POST"])]
