"""Writing things by their noun: asking for one, and declaring how one shall be.

A declaration is read and written at the same place and in the same form, so putting what was got
changes nothing. It is a view of the log (`domain.declared`): writing it appends the noun's wish,
and not even that where it says what stands already.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from penstock_chassis.errors import Unavailable
from penstock_chassis.message import Recorded, read_recorded
from penstock_chassis.ports import StoredMessage
from penstock_gateway.domain.declared import Declared, Standing, standing, verbs_of
from penstock_gateway.domain.view import utc_text
from penstock_gateway.http.answers import json_response
from penstock_gateway.http.appending import CONFLICTS_MAX
from penstock_gateway.http.context import Context, context_of
from penstock_gateway.http.describing import (
    ASKED,
    DECLARED,
    NOT_MODIFIED,
    WISH,
    Answer,
    describes,
)
from penstock_gateway.http.parameters import json_object, moment, name_of, namespace_of, noun_of
from penstock_gateway.http.preconditions import not_modified, precondition_of, tag
from penstock_gateway.http.problems import Problem
from penstock_gateway.http.publish import append_asked, event_of, key_of, receipt
from penstock_schemas import (
    ANYONE,
    Aggregate,
    Event,
    SchemaError,
    UnknownKind,
    UnknownType,
    derived_id,
    event_class,
    kind_class,
    new_id,
)

STANDING = Answer("What is declared", "{noun}.declaration", headers=("etag",))


@describes(
    {202: Answer("The wish is durable in the log", "Receipt", headers=("location",))},
    body=WISH,
    headers=("idempotency-key", "if-match", "if-none-match"),
    problems=(400, 405, 412, 413, 415, 422),
    nouns=ASKED,
)
async def ask(request: Request) -> Response:
    """Ask for a thing by the fields of its wish; without its id (`job`, say) it is given one."""
    namespace, noun = namespace_of(request, writes=True), noun_of(request)
    contract = _wish_of(noun)
    data = dict(await json_object(request))
    if contract.key not in data:
        key = key_of(request)
        data[contract.key] = (
            new_id()
            if key is None
            else derived_id(f"{namespace}\n{noun}\n{key}", "thing asked for")
        )
    event = event_of(contract, data)
    answer = receipt(*await append_asked(request, namespace, event), noun=noun, name=event.id)
    answer.headers["location"] = f"/v1/{namespace}/{noun}/{event.id}"
    return answer


@describes(
    {200: STANDING, 304: NOT_MODIFIED},
    query=("at",),
    headers=("if-none-match",),
    problems=(400, 404),
    nouns=DECLARED,
    all_namespaces=False,
)
async def show_declaration(request: Request) -> Response:
    """What is declared of a thing: its last wish that was neither refused nor withdrawn."""
    context, namespace = context_of(request), namespace_of(request, writes=True)
    noun, name = _kind(request).noun(), name_of(request)
    at = moment(request, "at")
    found, refusal = await _standing(context, Aggregate(namespace, noun, name), at)
    return declaration_read(request, namespace, noun, found, refusal)


@describes(
    {
        200: Answer("It is declared so already: nothing was appended", "{noun}.declaration"),
        202: Answer("The wish is durable in the log", "Receipt", headers=("etag",)),
    },
    body=WISH,
    headers=("idempotency-key", "if-match", "if-none-match"),
    problems=(400, 404, 412, 413, 415, 422),
    nouns=DECLARED,
)
async def declare(request: Request) -> Response:
    """Declare how a thing shall be. What it is already is left alone.

    The condition is about the declaration: what else happened to the thing does not matter.
    """
    context, namespace = context_of(request), namespace_of(request, writes=True)
    contract, name = _kind(request), name_of(request)
    assert contract.owner == ANYONE, "what takes more has a route of its own"
    condition = precondition_of(request)
    data = dict(await json_object(request))
    if data.setdefault(contract.key, name) != name:
        raise Problem(422, f"the path names {name!r}", field=contract.key, hint="leave it out")
    event = event_of(contract, data)
    aggregate, log = event.aggregate(namespace), context.ports.log
    for _ in range(CONFLICTS_MAX):
        head = await log.head([aggregate.filter])
        found = await find_declared(context, aggregate) if head else None
        if found is not None and found.event == event:
            return declaration(namespace, found)
        last = await log.head(["penstock.>"])
        condition.check(f"{aggregate} as declared", found.sequence if found else 0, last)
        try:
            id, appended = await append_asked(request, namespace, event, since=head)
        except Problem as problem:
            if problem.status == 412:
                continue  # something happened to it meanwhile, not to its declaration perhaps
            raise
        answer = receipt(id, appended, noun=event.noun(), name=name)
        answer.headers["etag"] = tag(appended.sequence)
        return answer
    raise Unavailable("others write to the same thing without pause; try again")


async def find_declared(context: Context, aggregate: Aggregate) -> Declared | None:
    """What stands of a thing now."""
    return (await _standing(context, aggregate)).declared


async def _standing(context: Context, aggregate: Aggregate, at: datetime | None = None) -> Standing:
    """What stands of a thing, now or at a time."""
    namespace, noun, id = aggregate
    subjects = [f"penstock.{namespace}.{noun}.{verb}.{id}" for verb in verbs_of(kind_class(noun))]
    return standing(await events_on(context, subjects, at))


async def events_on(
    context: Context, filters: Iterable[str], at: datetime | None = None
) -> list[Recorded]:
    """The readable events on these subjects in the order of the log, up to a time."""
    stored: list[StoredMessage] = []
    for filter in filters:
        stored += await context.ports.log.read(filter)
    stored.sort(key=lambda message: message.sequence)
    events = (_read(message) for message in stored if at is None or message.time <= at)
    return [event for event in events if event is not None]


def _read(stored: StoredMessage) -> Recorded | None:
    try:
        return read_recorded(stored)
    except SchemaError:
        return None  # its owner has refused it, or it is a dead letter


def declaration_read(
    request: Request, namespace: str, noun: str, found: Declared | None, refusal: str = ""
) -> Response:
    """The answer to a GET of what is declared of the thing that the path names."""
    if found is None:
        at, name = moment(request, "at"), name_of(request)
        when = f" at {utc_text(at)}" if at else ""
        told: dict[str, Any] = {"refusal": refusal} if refusal else {}
        why = f"; what was asked for last was refused: {refusal}" if refusal else ""
        raise Problem(
            404,
            f"no {noun} {name!r} is declared in {namespace}{when}{why}",
            field="id",
            hint=f"PUT /v1/{namespace}/{noun}/{name}/declaration declares it",
            **told,
        )
    if not_modified(request, found.sequence):
        return Response(status_code=304, headers={"etag": tag(found.sequence)})
    return declaration(namespace, found, refusal)


def declaration(namespace: str, found: Declared, refusal: str = "") -> Response:
    """The answer that says what is declared."""
    fields = found.event.model_dump(mode="json")
    fields.pop(found.event.key)
    document = {
        "kind": found.event.noun(),
        "name": found.event.id,
        "namespace": namespace,
        "fields": fields,
        "event_id": found.id,
        "sequence": found.sequence,
        "refusal": refusal or None,
    }
    answer = json_response(document)
    answer.headers["etag"] = tag(found.sequence)
    return answer


def _kind(request: Request) -> type[Event]:
    try:
        return kind_class(noun_of(request))
    except UnknownKind as error:
        raise Problem(404, str(error), field="noun") from None


def _wish_of(noun: str) -> type[Event]:
    try:
        contract = event_class(f"{noun}.requested")
    except UnknownType:
        contract = None
    if contract is None or contract.owner != ANYONE:
        raise Problem(
            405, f"a {noun} is not asked for: services make them", headers={"allow": "GET, HEAD"}
        )
    return contract


ROUTES = [
    Route("/v1/{namespace}/{noun}", ask, methods=["POST"]),
    Route("/v1/{namespace}/{noun}/{id}/declaration", show_declaration),
    Route("/v1/{namespace}/{noun}/{id}/declaration", declare, methods=["PUT"]),
]
