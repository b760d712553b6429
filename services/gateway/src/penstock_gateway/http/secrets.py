"""Secrets over HTTP: set and removed here, read nowhere; the rows of `secret` list them.

A change is sealed in the store first, with a note of it; then its event is appended, under an id
that stays; then the note is taken back. A gateway that died in between tells it when it starts.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from penstock_chassis.errors import Conflict, NotFound, Unavailable
from penstock_chassis.ports import SecretChange
from penstock_gateway.http.access import principal_of
from penstock_gateway.http.answers import json_response
from penstock_gateway.http.appending import append_once
from penstock_gateway.http.context import Context, context_of
from penstock_gateway.http.describing import Answer, describes
from penstock_gateway.http.parameters import json_object, name_of, namespace_of
from penstock_gateway.http.problems import Problem
from penstock_schemas import Event, SecretDeleted, SecretSet, derived_id, new_id

VALUE_LENGTH_MAX = 16_384
BODY_BYTES_MAX = 8 * VALUE_LENGTH_MAX
"""A character may take six bytes in JSON."""
KEY_LENGTH_MAX = 255
TRIES_MAX = 5
RETELL_SECONDS = 5.0

log = structlog.get_logger("penstock.gateway")

Change = Callable[[], Awaitable[SecretChange]]


@describes(
    Answer("What stands now: name, fingerprint and number of values; never a value"),
    headers=("idempotency-key",),
    body=Answer(
        "The value; with `keep` the former ones open too",
        {
            "type": "object",
            "required": ["value"],
            "additionalProperties": False,
            "properties": {
                "value": {"type": "string", "minLength": 1, "maxLength": VALUE_LENGTH_MAX},
                "keep": {"type": "boolean", "default": False},
            },
        },
    ),
    problems=(400, 404, 409, 413, 415, 422),
)
async def set_secret(request: Request) -> Response:
    """Set a secret's value; with `keep` the former values open too, until the next set."""
    context, namespace = context_of(request), namespace_of(request, writes=True)
    name, id = name_of(request), _change_id(request, namespace)
    body = await json_object(request, BODY_BYTES_MAX)
    if unknown := sorted(set(body) - {"value", "keep"}):
        raise Problem(422, "the body has a field too many", field=unknown[0][:80])
    value, keep = body.get("value"), body.get("keep", False)
    if not isinstance(value, str) or not 1 <= len(value) <= VALUE_LENGTH_MAX:
        raise Problem(422, f"the value has not 1 to {VALUE_LENGTH_MAX} characters", field="value")
    if not isinstance(keep, bool):
        raise Problem(422, "true or false is needed", field="keep")
    change = await _changed(
        context,
        namespace,
        name,
        lambda: context.secrets.set(namespace, name, value, id=id, by=_by(request), keep=keep),
    )
    return json_response(_document(change))


@describes(Answer("What was removed"), headers=("idempotency-key",), problems=(400, 404, 409, 422))
async def delete_secret(request: Request) -> Response:
    """Remove a secret with all its values."""
    context, namespace = context_of(request), namespace_of(request, writes=True)
    name, id = name_of(request), _change_id(request, namespace)
    try:
        change = await _changed(
            context,
            namespace,
            name,
            lambda: context.secrets.delete(namespace, name, id=id, by=_by(request)),
        )
    except NotFound as error:
        hint = f"GET /v1/{namespace}/secret lists what there is"
        raise Problem(404, str(error), field="id", hint=hint) from None
    return json_response(_document(change))


async def tell_all(context: Context) -> None:
    """Tell what a gateway that died could not; background work, for ever."""
    while True:
        try:
            for change in await context.secrets.untold():
                await _tell(context, change)
        except Unavailable as error:
            log.warning("changes of secrets wait to be told", error=str(error))
            await asyncio.sleep(RETELL_SECONDS)
        else:
            await asyncio.Event().wait()


async def _changed(context: Context, namespace: str, name: str, change: Change) -> SecretChange:
    """Make a change and tell it, after those that were not told yet."""
    for _ in range(TRIES_MAX):
        for earlier in await context.secrets.untold(namespace, name):
            await _tell(context, earlier)
        try:
            made = await change()
        except Conflict:
            continue  # somebody else changed it meanwhile
        await _tell(context, made)
        return made
    raise Problem(409, "others change this secret at the same time", hint="try again")


async def _tell(context: Context, change: SecretChange) -> None:
    appended = await append_once(context, _event(change), change.namespace, change.id)
    await context.secrets.told(change)
    await context.sources.reach(appended.sequence)  # what comes next sees the new value


def _event(change: SecretChange) -> Event:
    if not change.values:
        return SecretDeleted(secret=change.name, fingerprint=change.fingerprint, by=change.by)
    return SecretSet(
        secret=change.name, fingerprint=change.fingerprint, values=change.values, by=change.by
    )


def _document(change: SecretChange) -> dict[str, object]:
    return {
        "namespace": change.namespace,
        "secret": change.name,
        "fingerprint": change.fingerprint,
        "values": change.values,
    }


def _change_id(request: Request, namespace: str) -> str:
    """The id of the change: the same for the same idempotency key."""
    key = request.headers.get("idempotency-key")
    if key is None:
        return new_id()
    if not 1 <= len(key) <= KEY_LENGTH_MAX:
        raise Problem(
            400, f"the key has not 1 to {KEY_LENGTH_MAX} characters", field="idempotency-key"
        )
    said = f"{request.method}\n{namespace}\n{name_of(request)}\n{key}"
    return derived_id(said, "change of a secret")


def _by(request: Request) -> str:
    """Who did it: `local` on a platform that asks nobody."""
    return principal_of(request).account


ROUTES = [
    Route("/v1/{namespace}/secret/{id}", set_secret, methods=["PUT"]),
    Route("/v1/{namespace}/secret/{id}", delete_secret, methods=["DELETE"]),
]
