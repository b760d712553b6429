"""Webhooks in: 202 only once what was delivered is durable in the log.

The same delivery sent again is the same event for as long as the log is kept: its aggregate is
derived from the source and the sender's delivery id, and only the first event of it is ever
appended. A request that tells several things becomes several events, all of them or none.

Nothing is told to a stranger: a source that does not exist, one that is paused, a wrong signature
and a missing one get the same answer. Who proved itself is told what is wrong.
"""

import hashlib
import hmac
import secrets

import structlog
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from penstock_gateway.domain.schemes import SCHEMES
from penstock_gateway.domain.webhooks import Fault, Incoming, Refused, received
from penstock_gateway.http.answers import json_response
from penstock_gateway.http.appending import append_firsts
from penstock_gateway.http.context import Context, context_of
from penstock_gateway.http.parameters import body_of
from penstock_gateway.http.problems import Problem
from penstock_schemas import SourceConfigured, WebhookReceived, derived_id
from penstock_schemas.nouns.source import BODY_BYTES_MAX

EVENTS_MAX = 500
"""Events that one request may tell; they are one atomic batch of the log."""
STRANGER = "the delivery is not accepted: no such source, or not proven to come from it"
STATUS: dict[Fault, int] = {
    "unproven": 401,
    "stale": 400,
    "headers": 400,
    "type": 415,
    "body": 400,
    "size": 413,
}

log = structlog.get_logger("penstock.gateway")
_decoy = secrets.token_bytes(32)


async def receive(request: Request) -> Response:
    """Take a delivery."""
    context = context_of(request)
    namespace = str(request.path_params["namespace"])
    name = str(request.path_params["source"])
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise Problem(
            415,
            "compressed bodies are not read",
            field="content-encoding",
            hint="send it as it is: signatures are over the bytes that are sent",
        )
    incoming = Incoming(_headers(request), await body_of(request, BODY_BYTES_MAX))
    source = context.sources.state.sources.get((namespace, name))
    try:
        events = await _verified(context, namespace, source, incoming)
    except Refused as refusal:
        log.info(
            "webhook refused",
            namespace=namespace[:80],
            source=name[:80],
            fault=refusal.fault,
            reason=refusal.detail,
        )
        detail = STRANGER if refusal.fault == "unproven" else refusal.detail
        raise Problem(STATUS[refusal.fault], detail) from None
    pairs = [(event, derived_id(event.webhook, "received")) for event in events]
    appended = await append_firsts(context, pairs, namespace, f"webhook/{name}")
    receipts = [
        {"id": id, "sequence": one.sequence, "duplicate": one.duplicate}
        for (_, id), one in zip(pairs, appended, strict=True)
    ]
    return json_response(receipts[0] | {"events": receipts}, 202)


async def _verified(
    context: Context, namespace: str, source: SourceConfigured | None, incoming: Incoming
) -> list[WebhookReceived]:
    """The events of a delivery; raises `Refused`."""
    if source is None or source.paused or source.scheme not in SCHEMES:
        # The work that a known source would cost, so that the time tells little.
        hmac.compare_digest(hmac.new(_decoy, incoming.body, hashlib.sha256).digest(), _decoy)
        raise Refused("unproven", "there is no such source" if source is None else "it is paused")
    keys = await context.keyring.values(namespace, source.secrets)
    now = context.ports.clock.now()
    found = SCHEMES[source.scheme].verify(incoming, source, keys, now)
    if len(incoming.body) > source.body_bytes_max:
        raise Refused("size", f"the body is larger than {source.body_bytes_max} bytes")
    if len(found) > EVENTS_MAX:
        raise Refused("size", f"one request may tell at most {EVENTS_MAX} events")
    try:
        return [received(namespace, source.source, one) for one in found]
    except ValidationError as error:
        detail = f"the delivery cannot be kept: {error.errors()[0]['msg']}"
        raise Refused("body", detail) from None


def _headers(request: Request) -> dict[str, str]:
    """Headers by name in lower case; one that is repeated is one list (RFC 9110, 5.3)."""
    found: dict[str, str] = {}
    for name, value in request.headers.items():
        key = name.lower()
        found[key] = f"{found[key]}, {value}" if key in found else value
    return found


ROUTES = [Route("/v1/webhooks/{namespace}/{source}", receive, methods=["POST"])]
