"""Webhooks in (standardwebhooks.com): 202 only once the delivery is durable in the log.

The same delivery sent again is the same event for as long as the log is kept: its aggregate is
derived from the sender's delivery id, and only the first event of it is ever appended.
"""

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from penstock_gateway.domain.webhooks import Refused, read_stamp, received
from penstock_gateway.http.answers import json_response
from penstock_gateway.http.appending import append_first
from penstock_gateway.http.context import context_of
from penstock_gateway.http.describing import RECEIPT, Answer, describes
from penstock_gateway.http.parameters import body_of, expect_json, parse_json
from penstock_gateway.http.problems import Problem
from penstock_schemas import derived_id, is_name

BODY_BYTES_MAX = 900_000
"""The largest delivery: with its envelope it must fit into one message of the bus (1 MiB)."""


@describes(
    {202: RECEIPT},
    body=Answer("What the sender sends", {"type": "object"}),
    problems=(400, 401, 404, 413, 415),
)
async def receive(request: Request) -> Response:
    """Take a delivery."""
    context = context_of(request)
    namespace = str(request.path_params["namespace"])
    source = str(request.path_params["source"])
    verifier = context.senders.get((namespace, source))
    if verifier is None or not is_name(namespace) or not is_name(source):
        raise Problem(404, "there is no such sender")
    expect_json(request)
    body = await body_of(request, BODY_BYTES_MAX)
    headers = {name.lower(): value for name, value in request.headers.items()}
    stamp = read_stamp(headers, context.ports.clock.now())
    if isinstance(stamp, Refused):
        raise Problem(400, stamp.detail)
    if not verifier.verify(body, headers):
        raise Problem(401, "the signature is not one of this sender's")
    try:
        event = received(namespace, source, stamp.delivery, parse_json(body))
    except ValidationError as error:
        raise Problem(400, f"the delivery cannot be kept: {error.errors()[0]['msg']}") from None
    id = derived_id(event.webhook, "received")
    appended = await append_first(
        context,
        event,
        namespace,
        id,
        source=f"webhook/{source}",
    )
    receipt = {"id": id, "sequence": appended.sequence, "duplicate": appended.duplicate}
    return json_response(receipt, 202)


ROUTES = [Route("/v1/webhooks/{namespace}/{source}", receive, methods=["POST"])]
