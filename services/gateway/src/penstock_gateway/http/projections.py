"""The projections over HTTP: where they stand, and rebuilding them from the log."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from penstock_gateway.domain.projected import Comparison
from penstock_gateway.domain.view import utc_text
from penstock_gateway.errors import Superseded
from penstock_gateway.http.answers import json_response
from penstock_gateway.http.context import Context, context_of
from penstock_gateway.http.describing import Answer, describes, items
from penstock_gateway.http.problems import Problem

ROWS = "rows"
"""The name of the projection that all rows are."""


@describes(Answer("Every projection", items()))
async def list_projections(request: Request) -> Response:
    """Every projection: how far it is, and what it holds."""
    return json_response({"items": [await _document(context_of(request))]})


@describes(Answer("`equal`, and the first `differences`"), problems=(409,))
async def rebuild(request: Request) -> Response:
    """Make the rows once more from the whole log, compare, and show the rebuilt ones."""
    context = context_of(request)
    if context.rebuilding.running:
        raise Problem(409, "a rebuild is under way", hint="GET /v1/projection shows when it ends")
    try:
        done = await context.rebuilding.rebuild()
    except Superseded as error:
        raise Problem(409, f"another gateway replaced the rows: {error}", hint="ask it") from None
    document = _comparison(done.comparison)
    return json_response({"name": ROWS, **document, "seconds": round(done.seconds, 3)})


async def _document(context: Context) -> dict[str, Any]:
    projector = context.reading.projector
    standing, head = projector.standing, await context.ports.log.head(projector.filters)
    rows = await projector.store.count() if standing.generation else {}
    return {
        "name": ROWS,
        "status": "following" if projector.settled and projector.ours else "catching-up",
        "position": standing.position,
        "time": utc_text(standing.time) if standing.time else None,
        "head": head,
        "lag": max(0, head - standing.position),
        "rows": sum(rows.values()),
        "rows_by_noun": rows,
        "generation": standing.generation,
        "version": standing.version,
        "rebuilding": context.rebuilding.running,
    }


def _comparison(found: Comparison) -> dict[str, Any]:
    return {
        "equal": found.equal,
        "position": found.position,
        "rows": found.rows,
        "events": found.events,
        "different_rows": found.different_rows,
        "different_events": found.different_events,
        "differences": [
            {
                "noun": one.key.noun,
                "namespace": one.key.namespace,
                "id": one.key.id,
                "problem": one.problem,
                "columns": [
                    {"column": name, "live": values[0], "rebuilt": values[1]}
                    for name, values in one.columns.items()
                ],
            }
            for one in found.differences
        ],
    }


ROUTES = [
    Route("/v1/projection", list_projections),
    Route("/v1/projection/rebuild", rebuild, methods=["POST"]),
]
