"""The log over HTTP: read, followed, and looked up by id."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import datetime
from functools import partial
from typing import Any, cast

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from penstock_chassis.errors import NotFound
from penstock_chassis.ports import StoredMessage
from penstock_gateway.domain.read_model import ALL
from penstock_gateway.http.access import still_admits, visible
from penstock_gateway.http.answers import event_document, json_response
from penstock_gateway.http.context import Context, context_of
from penstock_gateway.http.describing import EVENTS, STREAM, Answer, describes
from penstock_gateway.http.parameters import (
    SEQUENCE_MAX,
    checked_name,
    checked_number,
    limit_of,
    moment,
    namespace_of,
    number,
    type_filter,
)
from penstock_gateway.http.problems import Problem
from penstock_gateway.http.tree import tree_of
from penstock_schemas import filter_of

EVENT_ID_LENGTH_MAX = 1024
STORY_EVENTS_MAX = 5000
"""Events of one tree; a longer story is cut, and says so."""


@describes(EVENTS, query=("type", "id", "after", "since", "limit"), problems=(400,))
async def list_events(request: Request) -> Response:
    """Events in the order of the log."""
    context, limit = context_of(request), limit_of(request)
    filters = _filters(request)
    after = number(request, "after", 0, 0, SEQUENCE_MAX)
    since = moment(request, "since")
    if since is None:
        stored = await _read(context, filters, after, limit)
    else:
        stored = await _read_since(context, filters, after, since, limit)
    position = stored[-1].sequence if len(stored) == limit else context.fold.position
    items = [event_document(message) for message in stored]
    return json_response({"items": items, "position": max(position, after)})


async def _read(
    context: Context, filters: Sequence[str], after: int, limit: int
) -> list[StoredMessage]:
    """The first of what matches any filter; no two filters match the same."""
    found: list[StoredMessage] = []
    for filter in filters:
        found += await context.ports.log.read(filter, after=after, limit=limit)
    return sorted(found, key=lambda stored: stored.sequence)[:limit]


async def _read_since(
    context: Context, filters: Sequence[str], after: int, since: datetime, limit: int
) -> list[StoredMessage]:
    log = context.ports.log
    head = await log.head(filters) if filters else 0
    if head <= after or (await log.get(head)).time < since:
        return []  # nothing to wait for: following would wait for ever
    found: list[StoredMessage] = []
    following = log.follow(filters, since=since)
    async with aclosing(cast("AsyncGenerator[StoredMessage, None]", following)) as messages:
        async for stored in messages:
            if stored.sequence > after:
                found.append(stored)
            if len(found) == limit or stored.sequence >= head:
                break
    return found


@describes(
    Answer("Events as they come, the log's sequence as their id", {"type": "string"}, STREAM),
    query=("type", "id", "after"),
    headers=("last-event-id",),
    problems=(400,),
)
async def stream_events(request: Request) -> Response:
    """Events as they come, from now or behind `Last-Event-ID` or `after`."""
    context = context_of(request)
    filters = _filters(request)
    if not filters:
        raise Problem(404, "there is no namespace that you may see", field="namespace")
    last = request.headers.get("last-event-id", "")
    asked = request.query_params.get("after", "")
    if last or asked:
        after = max(
            checked_number(last, "last-event-id", 0, 0, SEQUENCE_MAX),
            checked_number(asked, "after", 0, 0, SEQUENCE_MAX),
        )
    else:
        after = await context.ports.log.head(["penstock.>"])
    if context.streams.full:
        raise Problem(503, "too many live streams are open", hint="close some, or try again")
    return StreamingResponse(
        context.streams.events(filters, after, partial(still_admits, request)),
        media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


@describes(Answer("The event", "Event"), problems=(400, 404))
async def show_event(request: Request) -> Response:
    """One event by its id or its sequence."""
    return json_response(event_document(await _find(request)))


@describes(Answer("The root of its story", "EventTree"), problems=(400, 404))
async def show_tree(request: Request) -> Response:
    """What led to an event and what it led to, from the root of its story."""
    context, namespace = context_of(request), namespace_of(request)
    asked = event_document(await _find(request))
    correlation = asked["correlation_id"] or ""
    sequences = list(await context.reading.story(correlation, STORY_EVENTS_MAX + 1))
    documents = [
        event_document(await context.ports.log.get(sequence))
        for sequence in sequences[:STORY_EVENTS_MAX]
    ]
    story = [event for event in documents if event["correlation_id"] == correlation]
    if all(event["sequence"] != asked["sequence"] for event in story):
        story.append(asked)
    seen = [event for event in story if _shown(request, namespace, event["namespace"])]
    complete = len(sequences) <= STORY_EVENTS_MAX
    return json_response(tree_of(seen, asked["sequence"]) | {"complete": complete})


async def _find(request: Request) -> StoredMessage:
    """The event that the path names, where the namespace has it."""
    return await find_event(request, namespace_of(request), str(request.path_params["event"]))


async def find_event(request: Request, namespace: str, named: str) -> StoredMessage:
    """An event by its sequence or its id, where the namespace has it and who asks may see it."""
    context = context_of(request)
    if named.isascii() and named.isdigit() and len(named) < 16:
        stored = await _get(context, int(named)) if int(named) else None
    else:
        stored = await _by_id(context, named)
    if stored is None or not _shown(request, namespace, stored.subject.split(".")[1]):
        raise Problem(
            404,
            f"there is no event {named[:80]!r} in {'the log' if namespace == ALL else namespace}",
            field="id",
        )
    return stored


async def _get(context: Context, sequence: int) -> StoredMessage | None:
    try:
        return await context.ports.log.get(sequence)
    except NotFound:
        return None


async def _by_id(context: Context, id: str) -> StoredMessage | None:
    """The first event of an id: the index says where it may stand, the log whether it does."""
    if len(id) > EVENT_ID_LENGTH_MAX:
        return None
    for sequence in await context.reading.candidates(id):
        stored = await _get(context, sequence)
        if stored is not None and event_document(stored)["id"] == id:
            return stored
    return None


def _shown(request: Request, asked: str, namespace: str) -> bool:
    """Whether an event of a namespace belongs to what was asked for, and to what may be seen."""
    if asked != ALL:
        return asked == namespace
    may_see = visible(request)
    return may_see is None or namespace in may_see


def _filters(request: Request) -> list[str]:
    """The subjects of what is asked for, as far as it may be seen."""
    namespace = namespace_of(request)
    may_see = visible(request)
    id: Any = request.query_params.get("id")
    if id:
        checked_name(id, "id")
    elif namespace == ALL and may_see is None and not request.query_params.get("type"):
        return ["penstock.>"]  # with what has no subject of ours
    names = [namespace]
    if namespace == ALL:
        names = ["*"] if may_see is None else sorted(may_see)
    type = type_filter(request)
    return [filter_of(name, type, id or ">") for name in names]


ROUTES = [
    Route("/v1/{namespace}/event", list_events),
    Route("/v1/{namespace}/event/stream", stream_events),
    Route("/v1/{namespace}/event/{event}", show_event),
    Route("/v1/{namespace}/event/{event}/tree", show_tree),
]
