"""Deleting triggers: one fact, appended where what stands is what was looked at."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from penstock_chassis.errors import Unavailable
from penstock_chassis.ports import Appended
from penstock_gateway.http.access import principal_of
from penstock_gateway.http.accounts import faults_by_field
from penstock_gateway.http.appending import CONFLICTS_MAX, append_once
from penstock_gateway.http.context import context_of, source_of
from penstock_gateway.http.declarations import find_declared
from penstock_gateway.http.describing import RECEIPT, describes
from penstock_gateway.http.parameters import name_of, namespace_of
from penstock_gateway.http.preconditions import Precondition, precondition_of
from penstock_gateway.http.problems import Problem
from penstock_gateway.http.publish import key_of, receipt
from penstock_schemas import TriggerDeleted, derived_id, new_id


@describes(
    {202: RECEIPT},
    query=("reason",),
    headers=("idempotency-key", "if-match"),
    problems=(400, 404, 412, 422),
)
async def delete_trigger(request: Request) -> Response:
    """Delete a trigger: it judges nothing that comes from here on, and what it had not fired yet is
    dropped. The condition is about its declaration: that it fired meanwhile does not matter.
    """
    context, namespace = context_of(request), namespace_of(request, writes=True)
    name, key, condition = name_of(request), key_of(request), precondition_of(request)
    by = principal_of(request).account
    with faults_by_field():
        reason = request.query_params.get("reason", "")
        event = TriggerDeleted(trigger=name, by=by, reason=reason)
    said = f"{namespace}\n{event.type}\n{name}\n{key}"
    id = new_id() if key is None else derived_id(said, "idempotency key")
    aggregate, log, source = event.aggregate(namespace), context.ports.log, source_of(request)
    for _ in range(CONFLICTS_MAX):
        head = await log.head([aggregate.filter])
        found = await find_declared(context, aggregate) if head else None
        if found is None and key is not None and head:
            for stored in await log.read(str(event.subject(namespace))):
                if stored.headers.get("ce-id") == id:
                    again = Appended(stored.sequence, duplicate=True)
                    return receipt(id, again, noun=event.noun(), name=name)
        last = await log.head(["penstock.>"])
        condition.check(f"{aggregate} as declared", found.sequence if found else 0, last)
        if found is None:
            hint = f"GET /v1/{namespace}/trigger lists what there is"
            problem = f"there is no trigger {name!r} in {namespace}"
            raise Problem(404, problem, field="id", hint=hint)
        try:
            appended = await append_once(
                context, event, namespace, id, precondition=Precondition(head), source=source
            )
        except Problem as problem_:
            if problem_.status == 412:
                continue  # something happened to it meanwhile: it fired, perhaps
            raise
        return receipt(id, appended, noun=event.noun(), name=name)
    raise Unavailable("others write to the same thing without pause; try again")


ROUTES = [Route("/v1/{namespace}/trigger/{id}", delete_trigger, methods=["DELETE"])]
