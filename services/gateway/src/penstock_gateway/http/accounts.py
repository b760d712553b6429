"""Members and API tokens over HTTP. Each act is an event: the log is the audit of who did what.

A token is told once, in the answer to its making; afterwards nobody can see it, the platform
included.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from penstock_chassis.accounts import Principal, hash_of, make_token, ranked
from penstock_gateway.domain.view import utc_text
from penstock_gateway.http.access import principal_of, require
from penstock_gateway.http.answers import json_response
from penstock_gateway.http.appending import append_new, append_once
from penstock_gateway.http.context import Context, context_of, source_of
from penstock_gateway.http.describing import Answer, describes
from penstock_gateway.http.parameters import checked_name, json_object, name_of, namespace_of
from penstock_gateway.http.problems import Problem
from penstock_schemas import (
    SYSTEM_NAMESPACE,
    Event,
    MemberAdded,
    MemberRemoved,
    TokenIssued,
    TokenRevoked,
    derived_id,
    new_id,
)

DAY_SECONDS = 86_400
EXPIRES_SECONDS_DEFAULT = 90 * DAY_SECONDS
EXPIRES_SECONDS_MAX = 366 * DAY_SECONDS
SHOWN_SECONDS_MAX = 2.0
TOKEN_FIELDS = {"account", "role", "expires_in_seconds", "description", "namespaces"}
RESERVED = frozenset({"bootstrap", "local"})
"""Accounts that are recognised by other means than membership."""


@describes(Answer("The `account`, how it is known, and its `roles`"))
async def whoami(request: Request) -> Response:
    """The account that asks, and its roles."""
    principal = principal_of(request)
    return json_response(
        {
            "account": principal.account,
            "via": principal.via,
            "everywhere": principal.everywhere,
            "roles": dict(sorted(principal.roles.items())),
        }
    )


@describes(
    Answer("The member and its role"),
    body=Answer(
        "The `role`: viewer, editor or admin",
        {"type": "object", "additionalProperties": False, "properties": {"role": {}}},
    ),
    problems=(400, 413, 415, 422),
)
async def put_member(request: Request) -> Response:
    """Give an account a role in the namespace."""
    context, namespace = context_of(request), namespace_of(request, writes=True)
    member = name_of(request)
    body = body_of_fields(await json_object(request), {"role"})
    if member in RESERVED:
        raise Problem(422, f"{member} is not a name that an account may have", field="id")
    with faults_by_field():
        fields = {"member": member, "role": body.get("role"), "by": _by(request)}
        event = MemberAdded.model_validate(fields)
    return await _told(context, request, event, namespace, {"member": member, "role": event.role})


@describes(Answer("Who is no member any more"), problems=(400, 404, 422))
async def remove_member(request: Request) -> Response:
    """End an account's role in the namespace, and with it its tokens there."""
    context, namespace = context_of(request), namespace_of(request, writes=True)
    member = name_of(request)
    if namespace not in context.accounts.state.roles_of(member):
        raise Problem(404, f"{member} is no member of {namespace}", field="id")
    event = MemberRemoved(member=member, by=_by(request))
    return await _told(context, request, event, namespace, {"member": member})


@describes(
    {201: Answer("The token, with its secret this once")},
    body=Answer(
        "For whom, with which role, for how long",
        {
            "type": "object",
            "additionalProperties": False,
            "properties": {name: {} for name in sorted(TOKEN_FIELDS)},
        },
    ),
    problems=(400, 413, 415, 422),
)
async def create_token(request: Request) -> Response:
    """Make a token: as an admin of any member, as somebody signed in (OIDC) one's own."""
    context, namespace = context_of(request), namespace_of(request, writes=True)
    principal = principal_of(request)
    body = body_of_fields(await json_object(request), TOKEN_FIELDS)
    account = checked_name(str(body.get("account", principal.account)), "account")
    if account != principal.account or principal.via.startswith("token"):
        # A token that makes tokens would never expire: whoever finds one could go on for ever.
        require(request, "admin")
    seconds = _seconds(body.get("expires_in_seconds", EXPIRES_SECONDS_DEFAULT))
    secret = make_token()
    with faults_by_field():
        event = TokenIssued.model_validate(
            {
                "token": new_id(),
                "account": account,
                "role": body.get("role", "viewer"),
                "namespaces": body.get("namespaces", ()),
                "hash": hash_of(secret),
                "expires_at": context.ports.clock.now() + timedelta(seconds=seconds),
                "description": body.get("description", ""),
                "by": _by(request),
            }
        )
    _check_reach(context, principal, namespace, event)
    appended = await append_new(context, event, namespace, new_id(), source=source_of(request))
    await settled(context, appended.sequence)
    told = {
        "token": event.token,
        "secret": secret,
        "namespace": namespace,
        "account": account,
        "role": event.role,
        "expires_at": utc_text(event.expires_at),
        "sequence": appended.sequence,
    }
    return json_response(told, 201)


@describes(Answer("The token that is refused now"), query=("reason",), problems=(400, 404, 422))
async def revoke_token(request: Request) -> Response:
    """Refuse a token from now on; its own account may, and an admin. Again is harmless."""
    context, namespace = context_of(request), namespace_of(request, writes=True)
    principal, id = principal_of(request), name_of(request)
    book = context.accounts.state
    hash = book.hashes.get((namespace, id))
    if hash is None or book.tokens[hash].issued.account != principal.account:
        require(request, "admin")
    if hash is None:
        hint = "GET /v1/<namespace>/token lists them"
        raise Problem(404, f"there is no token {id!r} in {namespace}", field="id", hint=hint)
    reason = request.query_params.get("reason", "")
    with faults_by_field():
        event = TokenRevoked(token=id, reason=reason, by=_by(request))
    event_id = derived_id(f"{namespace}/{id}", "token revoked")
    source = source_of(request)
    appended = await append_once(
        context, event, namespace, event_id, source=source, whatever_stands=True
    )
    await settled(context, appended.sequence)
    return json_response({"token": id, "sequence": appended.sequence})


def _check_reach(
    context: Context, principal: Principal, namespace: str, event: TokenIssued
) -> None:
    """Refuse a token that would permit more than its maker may, or nothing at all."""
    if event.namespaces and namespace != SYSTEM_NAMESPACE:
        raise Problem(
            422,
            f"a token of {namespace} is good there alone",
            field="namespaces",
            hint=f"make one for several in {SYSTEM_NAMESPACE}",
        )
    if ranked(principal.role_in(namespace)) < ranked(event.role):
        raise Problem(403, f"{principal.account} may not give the role {event.role}", field="role")
    roles = context.accounts.state.roles_of(event.account)
    wanted = event.namespaces or (namespace,)
    if roles.get(SYSTEM_NAMESPACE) == "admin" or (namespace == SYSTEM_NAMESPACE and roles):
        return
    for one in wanted:
        if ranked(roles.get(one)) < ranked(event.role):
            raise Problem(
                422,
                f"{event.account} is {roles.get(one) or 'no member'} in {one}: the token would "
                f"not permit what an {event.role} may",
                field="account",
                hint=f"penstock member add {event.account} --role {event.role} -n {one}",
            )


@contextmanager
def faults_by_field() -> Iterator[None]:
    """What is not valid about an event is refused by its field."""
    try:
        yield
    except ValidationError as error:
        fault = error.errors()[0]
        raise Problem(422, fault["msg"], field=".".join(map(str, fault["loc"]))) from None


async def settled(context: Context, sequence: int) -> None:
    """Wait until what was appended counts here and, if that takes no time, until it is shown."""
    await context.accounts.reach(sequence)
    with suppress(TimeoutError):
        async with asyncio.timeout(SHOWN_SECONDS_MAX):
            await context.reading.projector.reach(sequence)


def body_of_fields(body: Any, known: set[str]) -> dict[str, Any]:
    """The body, without fields that nobody knows."""
    if unknown := sorted(set(body) - known):
        hint = f"one of: {', '.join(sorted(known))}"
        raise Problem(422, f"there is no field {unknown[0][:80]!r}", field=unknown[0], hint=hint)
    return dict(body)


def _seconds(value: Any) -> float:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not 1 <= value <= EXPIRES_SECONDS_MAX
    ):
        raise Problem(
            422, f"a token lives 1 to {EXPIRES_SECONDS_MAX} seconds", field="expires_in_seconds"
        )
    return float(value)


def _by(request: Request) -> str:
    return principal_of(request).account


async def _told(
    context: Context, request: Request, event: Event, namespace: str, answer: dict[str, Any]
) -> Response:
    appended = await append_new(context, event, namespace, new_id(), source=source_of(request))
    await settled(context, appended.sequence)
    return json_response({**answer, "namespace": namespace, "sequence": appended.sequence})


ROUTES = [
    Route("/v1/whoami", whoami),
    Route("/v1/{namespace}/member/{id}", put_member, methods=["PUT"]),
    Route("/v1/{namespace}/member/{id}", remove_member, methods=["DELETE"]),
    Route("/v1/{namespace}/token", create_token, methods=["POST"]),
    Route("/v1/{namespace}/token/{id}", revoke_token, methods=["DELETE"]),
]
