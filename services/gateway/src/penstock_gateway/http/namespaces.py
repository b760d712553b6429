"""Namespaces as documents: who is a member of one, declared as a whole (`penstock apply`).

A namespace is there as soon as something is in it; what is set up here is who may do what in it.
Only its admins may: a document can neither be published by an editor nor come by the bus.
"""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from penstock_chassis.errors import Conflict, Unavailable
from penstock_chassis.ports import BATCH_MESSAGES_MAX
from penstock_gateway.domain.namespaces import NamespaceState, changes, fold_namespace
from penstock_gateway.http.access import principal_of
from penstock_gateway.http.accounts import RESERVED, settled
from penstock_gateway.http.appending import CONFLICTS_MAX, append_together
from penstock_gateway.http.context import Context, context_of, source_of
from penstock_gateway.http.declarations import STANDING, declaration, declaration_read, events_on
from penstock_gateway.http.describing import NOT_MODIFIED, Answer, describes
from penstock_gateway.http.parameters import json_object, moment, name_of, namespace_of
from penstock_gateway.http.preconditions import precondition_of, tag
from penstock_gateway.http.problems import Problem
from penstock_gateway.http.publish import event_of, receipt
from penstock_schemas import NamespaceConfigured


@describes(
    {200: STANDING, 304: NOT_MODIFIED},
    query=("at",),
    headers=("if-none-match",),
    problems=(400, 404),
    all_namespaces=False,
)
async def show_namespace(request: Request) -> Response:
    """What the namespace is for, and its members, whichever way they became it."""
    context, namespace = context_of(request), _own(request)
    state = await _state(context, namespace, request)
    return declaration_read(request, namespace, "namespace", state.declared)


@describes(
    {
        200: Answer("It is so already: nothing was appended", "{noun}.declaration"),
        202: Answer("The namespace is so from now on", "Receipt", headers=("etag",)),
    },
    body=Answer("What it is for, and all its members", "namespace.configured.fields"),
    headers=("if-match", "if-none-match"),
    problems=(400, 404, 412, 413, 415, 422),
)
async def configure_namespace(request: Request) -> Response:
    """Set up a namespace: whom the body does not name is no member any more."""
    context, namespace = context_of(request), _own(request)
    condition = precondition_of(request)
    data = dict(await json_object(request))
    if data.setdefault("namespace", namespace) != namespace:
        raise Problem(422, f"the path names {namespace!r}", field="namespace", hint="leave it out")
    wanted = event_of(NamespaceConfigured, data)
    assert isinstance(wanted, NamespaceConfigured)
    for member in RESERVED & wanted.members.keys():
        field = f"members.{member}"
        raise Problem(422, f"{member} is not a name that an account may have", field=field)
    for _ in range(CONFLICTS_MAX):
        state = await _state(context, namespace)
        found = state.declared
        if found is not None and found.event == wanted:
            return declaration(namespace, found)
        last = await context.ports.log.head(["penstock.>"])
        condition.check(f"the namespace {namespace}", found.sequence if found else 0, last)
        events = changes(state.members, wanted, principal_of(request).account)
        if len(events) > BATCH_MESSAGES_MAX:
            raise Problem(
                422,
                f"this changes {len(events) - 1} members at once",
                field="members",
                hint="remove some first: penstock member rm",
            )
        guarded = [(event, state.head_of(event)) for event in events]
        try:
            id, appended = await append_together(context, guarded, namespace, source_of(request))
        except Conflict:
            continue  # a member changed meanwhile: look, and decide again
        await settled(context, appended.sequence)
        answer = receipt(id, appended, noun="namespace", name=namespace)
        answer.headers["etag"] = tag(appended.sequence)
        return answer
    raise Unavailable("others change its members without pause; try again")


def _own(request: Request) -> str:
    """The namespace of the path, which the path names twice."""
    namespace, name = namespace_of(request, writes=True), name_of(request)
    if name != namespace:
        raise Problem(
            404,
            f"the namespace {name!r} is not in {namespace!r}: each lives in itself",
            field="id",
            hint=f"/v1/{name}/namespace/{name}/declaration",
        )
    return namespace


async def _state(
    context: Context, namespace: str, request: Request | None = None
) -> NamespaceState:
    """The namespace now or, of a read, at the time that it asks for."""
    filters = [
        f"penstock.{namespace}.namespace.configured.{namespace}",
        f"penstock.{namespace}.member.*.*",
    ]
    at = moment(request, "at") if request is not None else None
    return fold_namespace(namespace, await events_on(context, filters, at))


ROUTES = [
    Route("/v1/{namespace}/namespace/{id}/declaration", show_namespace),
    Route("/v1/{namespace}/namespace/{id}/declaration", configure_namespace, methods=["PUT"]),
]
