"""Jobs from inside: why they are where they are, what they measured, what they printed."""

from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from penstock_gateway.domain.joblog import log_text
from penstock_gateway.domain.view import Row, utc_text
from penstock_gateway.domain.why import explain
from penstock_gateway.http.answers import event_document, json_response
from penstock_gateway.http.context import Context, context_of
from penstock_gateway.http.describing import TEXT, Answer, describes
from penstock_gateway.http.parameters import name_of, namespace_of
from penstock_gateway.http.rows import find_row
from penstock_schemas import Aggregate

REASONS_MAX = 1000
POINTS_MAX = 100_000
LOG_CHUNKS_MAX = 10_000


@describes(
    Answer("`status`, one `sentence`, and the `events` with their reasons"), problems=(400, 404)
)
async def why(request: Request) -> Response:
    """The reasons of a job's events, in order, and one sentence."""
    context, row = await _job(request)
    aggregate = Aggregate(row["namespace"], "job", row["id"])
    stored = await context.ports.log.read(aggregate.filter, limit=REASONS_MAX)
    return json_response(explain(row, [event_document(message) for message in stored]))


@describes(Answer("`points`: step, time, metrics and attempt each"), problems=(400, 404))
async def metrics(request: Request) -> Response:
    """What the job has measured so far."""
    context, row = await _job(request)
    subject = f"telemetry.{row['namespace']}.job.metric.{row['id']}"
    stored = await context.ports.telemetry.read(subject, limit=POINTS_MAX)
    points = [_point(message.payload, utc_text(message.time)) for message in stored]
    return json_response({"points": [point for point in points if point is not None]})


@describes(Answer("What it printed", {"type": "string"}, TEXT), problems=(400, 404))
async def logs(request: Request) -> Response:
    """What the job has printed so far."""
    context, row = await _job(request)
    subject = f"telemetry.{row['namespace']}.job.log.{row['id']}"
    stored = await context.ports.telemetry.read(subject, limit=LOG_CHUNKS_MAX)
    text = log_text(message.payload for message in stored)
    return PlainTextResponse(text, headers={"x-content-type-options": "nosniff"})


async def _job(request: Request) -> tuple[Context, Row]:
    context = context_of(request)
    row = await find_row(context, namespace_of(request), "job", name_of(request), request)
    return context, row


def _point(payload: bytes, stored_at: str) -> dict[str, Any] | None:
    """A report as the runner wrote it; None where it is none."""
    try:
        report = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(report, dict):
        return None
    return {
        "step": report.get("step"),
        "time": report.get("time", stored_at),
        "metrics": report.get("metrics", {}),
        "attempt": report.get("attempt"),
    }


ROUTES = [
    Route("/v1/{namespace}/job/{id}/why", why),
    Route("/v1/{namespace}/job/{id}/metrics", metrics),
    Route("/v1/{namespace}/job/{id}/logs", logs),
]
