"""Dead letters: what services gave up on, to look at, try again or drop."""

from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from penstock_chassis.errors import NotFound
from penstock_chassis.ports import Appended, DeadLetter, Message
from penstock_gateway.domain.view import utc_text
from penstock_gateway.http.access import may_letter
from penstock_gateway.http.answers import json_response
from penstock_gateway.http.context import Context, context_of
from penstock_gateway.http.describing import RECEIPT, Answer, describes, items
from penstock_gateway.http.parameters import SEQUENCE_MAX, checked_number
from penstock_gateway.http.problems import Problem
from penstock_schemas import derived_id

PAYLOAD_SHOWN_MAX = 16_384
"""Bytes of a payload that the list shows."""


@describes(Answer("Every dead letter", items()))
async def list_letters(request: Request) -> Response:
    """Every dead letter that the caller may see, oldest first."""
    letters = [
        letter
        for letter in await context_of(request).ports.dead_letters.list()
        if may_letter(request, letter.subject, "viewer")
    ]
    return json_response({"items": [_document(letter) for letter in letters]})


@describes({202: RECEIPT}, problems=(400, 404))
async def retry_letter(request: Request) -> Response:
    """Append the message again under a new id, and drop the letter."""
    context = context_of(request)
    letter = await _letter(context, request)
    id = derived_id(f"{letter.service}/{letter.sequence}/{letter.position}", "dead letter retried")
    appended = await _append_again(context, letter, id)
    await context.ports.dead_letters.drop(letter.position)
    receipt = {"id": id, "sequence": appended.sequence, "duplicate": appended.duplicate}
    return json_response(receipt, 202)


@describes(Answer("`dropped`: its position"), problems=(400, 404))
async def drop_letter(request: Request) -> Response:
    """Forget a dead letter; its message stays in the log."""
    context = context_of(request)
    letter = await _letter(context, request)
    await context.ports.dead_letters.drop(letter.position)
    return json_response({"dropped": letter.position})


async def _letter(context: Context, request: Request) -> DeadLetter:
    text = str(request.path_params["position"])
    position = checked_number(text, "position", 0, 1, SEQUENCE_MAX)
    for letter in await context.ports.dead_letters.list():
        if letter.position != position or not may_letter(request, letter.subject, "viewer"):
            continue
        if not may_letter(request, letter.subject, "editor"):
            raise Problem(403, "this needs the role editor in the letter's namespace")
        return letter
    raise Problem(404, f"there is no dead letter {position}", hint="GET /v1/deadletter")


async def _append_again(context: Context, letter: DeadLetter, id: str) -> Appended:
    """Append unless an earlier try of the same retry did, before it could drop the letter."""
    log = context.ports.log
    try:
        for stored in await log.read(letter.subject, after=letter.sequence):
            if stored.headers.get("ce-id") == id:
                return Appended(stored.sequence, duplicate=True)
    except NotFound:
        pass  # nothing has this subject any more
    kept = {
        name: value
        for name, value in letter.headers.items()
        if not name.lower().startswith("nats-") and name.lower() != "ce-id"
    }
    original = {name.lower(): value for name, value in letter.headers.items()}.get("ce-id")
    if original:
        kept["ce-causationid"] = original
        kept.setdefault("ce-correlationid", original)
    headers = kept | {"ce-id": quote(id)}
    return await log.append([Message(letter.subject, letter.payload, headers, id)])


def _document(letter: DeadLetter) -> dict[str, object]:
    try:
        payload: str | None = letter.payload[:PAYLOAD_SHOWN_MAX].decode()
    except UnicodeDecodeError:
        payload = None
    return {
        "position": letter.position,
        "service": letter.service,
        "subject": letter.subject,
        "sequence": letter.sequence,
        "reason": letter.reason,
        "deliveries": letter.deliveries,
        "traceback": letter.traceback,
        "time": utc_text(letter.time) if letter.time else None,
        "payload": payload,
        "payload_bytes": len(letter.payload),
    }


ROUTES = [
    Route("/v1/deadletter", list_letters),
    Route("/v1/deadletter/{position}/retry", retry_letter, methods=["POST"]),
    Route("/v1/deadletter/{position}", drop_letter, methods=["DELETE"]),
]
