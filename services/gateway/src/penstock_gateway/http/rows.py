"""Rows of every noun, now or at a past time."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from penstock_gateway.domain.lineage import LINEAGE_NOUNS, lineage, named_by
from penstock_gateway.domain.projected import Query
from penstock_gateway.domain.read_model import ALL
from penstock_gateway.domain.view import Row, utc_text
from penstock_gateway.http.access import visible
from penstock_gateway.http.answers import dump, json_bytes, json_response
from penstock_gateway.http.context import Context, context_of
from penstock_gateway.http.describing import (
    NOT_MODIFIED,
    ROW,
    ROWS,
    Answer,
    describes,
)
from penstock_gateway.http.parameters import (
    SEQUENCE_MAX,
    limit_of,
    moment,
    name_of,
    namespace_of,
    noun_of,
    number,
)
from penstock_gateway.http.preconditions import not_modified, tag
from penstock_gateway.http.problems import Problem
from penstock_gateway.nouns import VIEWS

RESERVED = frozenset({"at", "limit", "cursor"})


@describes(ROWS, query=("limit", "cursor", "at"), problems=(400, 404), columns=True)
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
    page = await context.reading.page(
        Query(noun, namespace, wanted, cursor, limit), at, visible(request)
    )
    rest = {
        "position": page.standing.position,
        "at": utc_text(at) if at else None,
        "next": None if page.next_before is None else str(page.next_before),
    }
    # Rows are stored as they are answered: they need not be read here.
    body = b'{"items":[' + b",".join(page.documents) + b"]," + dump(rest)[1:]
    return json_bytes(body)


@describes(
    {200: ROW, 304: NOT_MODIFIED},
    query=("at",),
    headers=("if-none-match",),
    problems=(400, 404),
)
async def show_row(request: Request) -> Response:
    """One row."""
    context, namespace, noun = context_of(request), namespace_of(request), noun_of(request)
    row = await find_row(context, namespace, noun, name_of(request), request)
    headers = {"etag": tag(row["sequence"])}
    if not_modified(request, row["sequence"]):
        return Response(status_code=304, headers=headers)
    answer = json_response(row)
    answer.headers.update(headers)
    return answer


@describes(Answer("`nodes` and `edges`"), query=("at",), problems=(400, 404))
async def show_lineage(request: Request) -> Response:
    """What each version of a model was made from, and where it is served."""
    context, namespace = context_of(request), namespace_of(request)
    at = moment(request, "at")
    row = await find_row(context, namespace, "model", name_of(request), request)
    rows = await context.reading.model(row["namespace"], LINEAGE_NOUNS, named_by(row), at)
    return json_response(lineage(rows, row))


async def find_row(context: Context, namespace: str, noun: str, id: str, request: Request) -> Row:
    """A row at the time that the request names; its absence says which kind it is."""
    at = moment(request, "at")
    among = visible(request)
    row = await context.reading.find(namespace, noun, id, at, among)
    if row is not None:
        return row
    where = "any namespace" if namespace == ALL else namespace
    later = await context.reading.find(namespace, noun, id, None, among) if at else None
    if at and later is not None:
        raise Problem(
            404,
            f"{noun} {id} was not yet born at {utc_text(at)}: its first event came at "
            f"{later['created_at']}",
            field="at",
        )
    hint = f"GET /v1/{namespace}/{noun} lists what there is"
    raise Problem(404, f"there has never been a {noun} {id!r} in {where}", field="id", hint=hint)


ROUTES = [
    Route("/v1/{namespace}/model/{id}/lineage", show_lineage),
    Route("/v1/{namespace}/{noun}", list_rows),
    Route("/v1/{namespace}/{noun}/{id}", show_row),
]
