"""Rows of every noun, now or at a past time."""

from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from penstock_gateway.domain.lineage import lineage
from penstock_gateway.domain.read_model import ReadModel
from penstock_gateway.domain.view import Row, utc_text
from penstock_gateway.http.answers import json_response
from penstock_gateway.http.context import Context, context_of
from penstock_gateway.http.parameters import (
    SEQUENCE_MAX,
    limit_of,
    moment,
    name_of,
    namespace_of,
    noun_of,
    number,
)
from penstock_gateway.http.problems import Problem
from penstock_gateway.nouns import VIEWS

RESERVED = frozenset({"at", "limit", "cursor"})


async def list_rows(request: Request) -> Response:
    """The rows of a noun, newest first, filtered by equality of columns."""
    context, namespace, noun = context_of(request), namespace_of(request), noun_of(request)
    limit = limit_of(request)
    cursor = number(request, "cursor", SEQUENCE_MAX, 0, SEQUENCE_MAX)
    wanted = {k: v for k, v in request.query_params.items() if k not in RESERVED}
    columns = VIEWS[noun].all_columns
    for column in wanted:
        if column not in columns:
            hint = f"one of: {', '.join(columns)}"
            raise Problem(400, f"{noun} has no column {column[:80]!r}", field=column, hint=hint)
    at = moment(request, "at")
    model = await read_model(context, at)
    items: list[Row] = []
    more = False
    for row in model.newest_first(namespace, noun):
        if row["created_sequence"] >= cursor or not _matches(row, wanted):
            continue
        if len(items) == limit:
            more = True
            break
        items.append(row)
    return json_response(
        {
            "items": items,
            "position": _position(context, model),
            "at": utc_text(at) if at else None,
            "next": str(items[-1]["created_sequence"]) if more else None,
        }
    )


async def show_row(request: Request) -> Response:
    """One row."""
    context, namespace, noun = context_of(request), namespace_of(request), noun_of(request)
    return json_response(await find_row(context, namespace, noun, name_of(request), request))


async def show_lineage(request: Request) -> Response:
    """What each version of a model was made from, and where it is served."""
    context, namespace = context_of(request), namespace_of(request)
    at = moment(request, "at")
    row = await find_row(context, namespace, "model", name_of(request), request)
    return json_response(lineage(await read_model(context, at), row))


async def read_model(context: Context, at: Any) -> ReadModel:
    """The read model now, or as it was."""
    return context.fold.state.rows if at is None else await context.history.at(at)


async def find_row(context: Context, namespace: str, noun: str, id: str, request: Request) -> Row:
    """A row at the time that the request names; its absence says which kind it is."""
    at = moment(request, "at")
    row = (await read_model(context, at)).find(namespace, noun, id)
    if row is not None:
        return row
    where = "any namespace" if namespace == "-" else namespace
    later = context.fold.state.rows.find(namespace, noun, id) if at else None
    if at and later is not None:
        raise Problem(
            404,
            f"{noun} {id} was not yet born at {utc_text(at)}: its first event came at "
            f"{later['created_at']}",
            field="at",
        )
    hint = f"GET /v1/{namespace}/{noun} lists what there is"
    raise Problem(404, f"there has never been a {noun} {id!r} in {where}", field="id", hint=hint)


def _position(context: Context, model: ReadModel) -> int:
    live = context.fold.state.rows
    return context.fold.position if model is live else model.position


def _matches(row: Row, wanted: dict[str, str]) -> bool:
    return all(_equal(row[column], text) for column, text in wanted.items())


def _equal(value: Any, text: str) -> bool:
    """Whether a column has the value that the query writes as text; a column without a value
    equals the empty text."""
    if value is None:
        return text in ("", "null")
    if isinstance(value, str):
        return value == text
    try:
        return bool(orjson.loads(text) == value)
    except orjson.JSONDecodeError:
        return False


ROUTES = [
    Route("/v1/{namespace}/model/{id}/lineage", show_lineage),
    Route("/v1/{namespace}/{noun}", list_rows),
    Route("/v1/{namespace}/{noun}/{id}", show_row),
]
