"""Refusals over HTTP: problem details (RFC 9457) with the field at fault and what to do."""

from collections.abc import Mapping
from typing import Any

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from penstock_chassis.errors import Sealed, TooLarge, Unavailable
from penstock_gateway.errors import HistoryTooLong
from penstock_gateway.http.answers import dump

MEDIA_TYPE = "application/problem+json"
TITLES = {
    400: "Bad request",
    401: "Not recognised",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    412: "Precondition failed",
    413: "Too large",
    415: "Unsupported content type",
    422: "Not valid",
    500: "Defect",
    503: "Not available now",
}

log = structlog.get_logger("penstock.gateway")


class Problem(Exception):
    """A request that is refused; `more` are extension members of the document."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        field: str = "",
        hint: str = "",
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.field, self.hint = status, detail, field, hint
        self.headers, self.more = dict(headers or {}), more


def problem_response(problem: Problem) -> Response:
    """The answer that says it."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": TITLES.get(problem.status, "Refused"),
        "status": problem.status,
        "detail": problem.detail,
    }
    if problem.field:
        body["field"] = problem.field
    if problem.hint:
        body["hint"] = problem.hint
    own = {503: {"retry-after": "1"}, 401: {"www-authenticate": "Bearer"}}.get(problem.status, {})
    return Response(dump(body | problem.more), problem.status, own | problem.headers, MEDIA_TYPE)


async def on_problem(_: Request, error: Exception) -> Response:
    """Answer a refusal of ours."""
    assert isinstance(error, Problem)
    return problem_response(error)


async def on_http_error(request: Request, error: Exception) -> Response:
    """Answer what the router refuses."""
    assert isinstance(error, HTTPException)
    path = request.url.path
    if error.status_code == 404:
        return problem_response(
            Problem(404, f"there is nothing at {path}", hint="GET /v1/platform")
        )
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        detail = f"{request.method} is not possible at {path}"
        hint, headers = (f"use {allowed}", {"allow": allowed}) if allowed else ("", {})
        return problem_response(Problem(405, detail, hint=hint, headers=headers))
    return problem_response(Problem(error.status_code, str(error.detail)))


async def on_unavailable(_: Request, error: Exception) -> Response:
    """A server behind us does not answer: the client should ask again."""
    return problem_response(Problem(503, str(error), hint="try again; the platform may restart"))


async def on_too_large(_: Request, error: Exception) -> Response:
    """More than the bus or the store carries."""
    return problem_response(Problem(413, str(error)))


async def on_disconnect(_: Request, error: Exception) -> Response:
    """Nobody is there to read this."""
    return problem_response(Problem(400, "the request ended before its body"))


async def on_defect(request: Request, error: Exception) -> Response:
    """A defect of ours: logged whole, told briefly."""
    log.error("request failed", path=request.url.path, error=repr(error), exc_info=error)
    return problem_response(Problem(500, "the gateway could not answer; its log says why"))


EXCEPTION_HANDLERS: dict[Any, Any] = {
    Problem: on_problem,
    HTTPException: on_http_error,
    Unavailable: on_unavailable,
    HistoryTooLong: on_unavailable,
    Sealed: on_unavailable,
    TooLarge: on_too_large,
    ClientDisconnect: on_disconnect,
    Exception: on_defect,
}
