"""Who may do what over HTTP: one table for every route, and the guard that asks it.

What is refused, and how (docs/security.md):

- 401: the request does not say who asks, or its token is not good.
- 404: who asks has no role in the namespace. The answer is the same whether the namespace, or the
  thing in it, exists or not.
- 403: who asks may see the namespace, but this needs another role, which the answer names.

A route that the table does not know is for administrators of the platform alone (and fails a test).
In reads of all namespaces (`-`) each handler shows what `visible` names and nothing else; routes
whose handlers do not are closed to `-`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from penstock_chassis.accounts import Principal, Unauthenticated, ranked
from penstock_gateway.domain.read_model import ALL
from penstock_gateway.http.context import Context, context_of
from penstock_gateway.http.problems import Problem
from penstock_schemas import SYSTEM_NAMESPACE, Event, is_name, role_to_send

SIGN_IN_HINT = "send Authorization: Bearer <token>; from the command line: penstock login"


class Scope(Enum):
    """Where a role is needed."""

    PUBLIC = "nowhere"
    ACCOUNT = "anywhere: any account, whatever its roles"
    NAMESPACE = "in the namespace of the path"
    PLATFORM = "on the platform as a whole"


@dataclass(frozen=True, slots=True)
class Need:
    """What a route asks of whoever calls it. `across`: it can be read for all namespaces, and
    then shows those alone that its caller may see."""

    scope: Scope
    role: str = "viewer"
    across: bool = False


PUBLIC = Need(Scope.PUBLIC)
ANY_ACCOUNT = Need(Scope.ACCOUNT)
READ = Need(Scope.NAMESPACE, "viewer")
READ_ACROSS = replace(READ, across=True)
WRITE = Need(Scope.NAMESPACE, "editor")
ADMINISTER = Need(Scope.NAMESPACE, "admin")
PLATFORM_ADMIN = Need(Scope.PLATFORM, "admin")

TABLE: Mapping[tuple[str, str], Need] = {
    ("GET", "/"): PUBLIC,
    ("GET", "/livez"): PUBLIC,
    ("GET", "/readyz"): PUBLIC,
    ("GET", "/metrics"): PUBLIC,
    # Its senders sign what they send; their secrets say who they are.
    ("POST", "/v1/webhooks/{namespace}/{source}"): PUBLIC,
    ("GET", "/v1/whoami"): ANY_ACCOUNT,
    ("GET", "/v1/platform"): ANY_ACCOUNT,
    ("GET", "/v1/service"): ANY_ACCOUNT,
    ("GET", "/v1/platform/accounts/nats"): PLATFORM_ADMIN,
    ("GET", "/v1/platform/accounts/seaweedfs"): PLATFORM_ADMIN,
    ("GET", "/v1/platform/accounts/iam"): PLATFORM_ADMIN,
    ("GET", "/v1/projection"): Need(Scope.PLATFORM, "viewer"),
    ("POST", "/v1/projection/rebuild"): PLATFORM_ADMIN,
    # Letters of all namespaces: the handlers ask for each (`may_letter`).
    ("GET", "/v1/deadletter"): ANY_ACCOUNT,
    ("POST", "/v1/deadletter/{position}/retry"): ANY_ACCOUNT,
    ("DELETE", "/v1/deadletter/{position}"): ANY_ACCOUNT,
    ("GET", "/v1/{namespace}/event"): READ_ACROSS,
    ("GET", "/v1/{namespace}/event/stream"): READ_ACROSS,
    ("GET", "/v1/{namespace}/event/{event}"): READ_ACROSS,
    ("GET", "/v1/{namespace}/event/{event}/tree"): READ_ACROSS,
    ("POST", "/v1/{namespace}/event"): WRITE,  # and what `role_to_send` asks
    ("POST", "/v1/{namespace}/object"): WRITE,
    ("GET", "/v1/{namespace}/object"): READ,
    ("POST", "/v1/{namespace}/folder"): WRITE,
    ("GET", "/v1/{namespace}/job/{id}/why"): READ_ACROSS,
    ("GET", "/v1/{namespace}/job/{id}/metrics"): READ_ACROSS,
    ("GET", "/v1/{namespace}/job/{id}/logs"): READ_ACROSS,
    ("GET", "/v1/{namespace}/model/{id}/lineage"): READ_ACROSS,
    ("PUT", "/v1/{namespace}/member/{id}"): ADMINISTER,
    ("DELETE", "/v1/{namespace}/member/{id}"): ADMINISTER,
    ("GET", "/v1/{namespace}/namespace/{id}/declaration"): READ,
    ("PUT", "/v1/{namespace}/namespace/{id}/declaration"): ADMINISTER,
    # Tokens of one's own need no more than a role; the handlers ask for the rest.
    ("POST", "/v1/{namespace}/token"): READ,
    ("DELETE", "/v1/{namespace}/token/{id}"): READ,
    ("PUT", "/v1/{namespace}/secret/{id}"): ADMINISTER,
    ("DELETE", "/v1/{namespace}/secret/{id}"): ADMINISTER,
    ("POST", "/v1/{namespace}/credential"): ADMINISTER,
    ("DELETE", "/v1/{namespace}/credential/{id}"): ADMINISTER,
    ("GET", "/v1/openapi.json"): PUBLIC,
    ("DELETE", "/v1/{namespace}/trigger/{id}"): WRITE,
    ("GET", "/v1/{namespace}/trigger/explain"): READ,
    ("POST", "/v1/{namespace}/trigger/{id}/dry-run"): READ,
    ("POST", "/v1/{namespace}/trigger/{id}/backtest"): READ,
    ("GET", "/v1/{namespace}/subscription/{id}/delivery"): READ,
    ("POST", "/v1/{namespace}/subscription/{id}/test"): ADMINISTER,
    ("GET", "/v1/{namespace}/{noun}/{id}/declaration"): READ,
    ("PUT", "/v1/{namespace}/{noun}/{id}/declaration"): WRITE,  # and what `role_to_send` asks
    ("POST", "/v1/{namespace}/{noun}"): WRITE,  # likewise
    ("GET", "/v1/{namespace}/{noun}"): READ_ACROSS,
    ("GET", "/v1/{namespace}/{noun}/{id}"): READ_ACROSS,
}


def needs_of(route: Route) -> dict[str, Need]:
    """What each method of a route needs; raises `KeyError` for one that the table lacks."""
    methods = (route.methods or set()) - {"HEAD"}
    return {method: TABLE[method, route.path] for method in sorted(methods)}


def guarded(route: Route) -> Route:
    """The route behind the guard."""
    methods = sorted((route.methods or set()) - {"HEAD"})
    needs = {method: TABLE.get((method, route.path), PLATFORM_ADMIN) for method in methods}
    endpoint: Any = route.endpoint

    async def guard(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        await _admit(request, needs[method])
        answer: Response = await endpoint(request)
        return answer

    return Route(route.path, guard, methods=methods, name=route.name)


async def _admit(request: Request, need: Need) -> None:
    """Note who asks, or refuse."""
    if need.scope is Scope.PUBLIC:
        return
    principal = await principal_in(context_of(request), request)
    request.state.principal = principal
    if need.scope is Scope.PLATFORM:
        _require_platform(principal, need.role)
    elif need.scope is Scope.NAMESPACE:
        namespace = str(request.path_params["namespace"])
        if namespace != ALL or not need.across:
            _require(principal, need.role, namespace)


async def principal_in(context: Context, request: Request) -> Principal:
    """Who sends a request; a refusal (401) where that is not known."""
    try:
        return await context.bearers.principal(request.headers.get("authorization", ""))
    except Unauthenticated as error:
        raise Problem(401, str(error), hint=SIGN_IN_HINT) from None


def principal_of(request: Request) -> Principal:
    """Who sends a request that the guard let pass."""
    principal = request.state.principal
    assert isinstance(principal, Principal)
    return principal


def visible(request: Request) -> frozenset[str] | None:
    """The namespaces that a read of all may show; None for every one."""
    return principal_of(request).visible


def still_admits(request: Request) -> bool:
    """Whether whoever opened a stream may still see what they could then."""
    try:
        authorization = request.headers.get("authorization", "")
        now = context_of(request).bearers.principal_now(authorization)
    except Unauthenticated:
        return False
    return now == principal_of(request)


def require(request: Request, role: str) -> None:
    """Ask for a role in the namespace of the path."""
    _require(principal_of(request), role, str(request.path_params["namespace"]))


def require_wish(request: Request, event: Event) -> None:
    """Ask for what publishing an event needs; a trigger needs what its own wish does."""
    require(request, role_to_send(event))


def may_letter(request: Request, subject: str, role: str) -> bool:
    """Whether a dead letter with this subject is the caller's to see or to handle."""
    tokens = subject.split(".")
    namespace = tokens[1] if len(tokens) > 1 and is_name(tokens[1]) else SYSTEM_NAMESPACE
    return principal_of(request).may(role, namespace)


def _require(principal: Principal, role: str, namespace: str) -> None:
    held = principal.role_in(namespace) if is_name(namespace) else principal.everywhere
    if held is None:
        raise Problem(
            404,
            f"there is no namespace {namespace[:80]!r} that {principal.account} may see",
            field="namespace",
            hint=f"its admin can add you: penstock member add {principal.account} -n …",
        )
    if ranked(held) < ranked(role):
        raise Problem(
            403,
            f"this needs the role {role} in {namespace}; {principal.account} is {held} there",
            field="namespace",
        )


def _require_platform(principal: Principal, role: str) -> None:
    if not principal.may(role, SYSTEM_NAMESPACE):
        raise Problem(403, f"this needs the role {role} in {SYSTEM_NAMESPACE}: the platform's own")
