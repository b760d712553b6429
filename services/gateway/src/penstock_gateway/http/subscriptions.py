"""Subscriptions from inside: the log of deliveries, what waits, and a delivery to try it out."""

import json
from datetime import UTC, datetime
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from penstock_gateway.domain.outbox import Outbox
from penstock_gateway.domain.outgoing import delivery_id, signed_headers, signing_keys
from penstock_gateway.domain.subscriptions import Live
from penstock_gateway.domain.view import utc_text
from penstock_gateway.http.answers import json_response
from penstock_gateway.http.context import Context, context_of
from penstock_gateway.http.describing import Answer, describes
from penstock_gateway.http.parameters import SEQUENCE_MAX, limit_of, name_of, namespace_of, number
from penstock_gateway.http.problems import Problem
from penstock_gateway.http.rows import find_row
from penstock_gateway.supervisor.journal import subject_of
from penstock_gateway.supervisor.shelf import BUCKET, Shelf
from penstock_schemas import new_id

TEST_TYPE = "subscription.test"
"""What a delivery to try it out says that it is; no event of the log has this type."""
FLAGS = {"": None, "true": True, "false": False}


@describes(
    Answer("`items`: number, time, status and error of each try; `next`; and the `outbox`"),
    query=("failed", "after", "limit"),
    problems=(400, 404),
    all_namespaces=False,
)
async def list_deliveries(request: Request) -> Response:
    """The tries of a subscription, oldest first, as long as the telemetry keeps them; and what
    waits. `failed=true` are those that were not taken, `false` those that were."""
    context, namespace, name = context_of(request), namespace_of(request), name_of(request)
    await find_row(context, namespace, "subscription", name, request)
    flag = request.query_params.get("failed", "")
    if flag not in FLAGS:
        raise Problem(400, f"{flag[:80]!r} is neither true nor false", field="failed")
    after = number(request, "after", 0, 0, SEQUENCE_MAX)
    limit = limit_of(request)
    filter = subject_of(namespace, name, failed=FLAGS[flag])
    stored = await context.ports.telemetry.read(filter, after=after, limit=limit)
    items = [{"number": message.sequence, **orjson.loads(message.payload)} for message in stored]
    return json_response(
        {
            "items": items,
            "next": str(stored[-1].sequence) if len(stored) == limit else None,
            "outbox": await _outbox(context, namespace, name),
        }
    )


@describes(Answer("What came of it"), problems=(400, 404, 409))
async def send_test(request: Request) -> Response:
    """Post a delivery of no event now, once, and say what came of it."""
    context, namespace = context_of(request), namespace_of(request, writes=True)
    name = name_of(request)
    live = context.subscriptions.state.live.get((namespace, name))
    if live is None:
        hint = f"GET /v1/{namespace}/subscription lists what there is"
        raise Problem(404, f"no subscription {name!r} sends", field="id", hint=hint)
    keys = signing_keys(await context.keyring.values(namespace, [live.spec.secret]))
    if not keys:
        reason = f"the secret {live.spec.secret!r} has no value whsec_<base64>"
        raise Problem(409, reason, hint=f"penstock secret set {live.spec.secret}")
    return json_response(await _send_test(context, namespace, name, live, keys))


async def _send_test(
    context: Context, namespace: str, name: str, live: Live, keys: list[bytes]
) -> dict[str, Any]:
    now, event_id = context.ports.clock.now(), new_id()
    id = delivery_id(namespace, name, event_id)
    document = {
        "specversion": "1.0",
        "id": event_id,
        "source": "penstock/gateway",
        "type": TEST_TYPE,
        "subject": name,
        "time": utc_text(now),
        "timestamp": utc_text(now),
        "namespace": namespace,
        "data": {"subscription": name},
    }
    body = json.dumps(document).encode()
    sender = context.make_sender()
    try:
        headers = signed_headers(id, body, keys, live.spec.headers, now)
        answer = await sender.post(live.spec.url, headers, body)
    finally:
        await sender.close()
    return {
        "delivery": id,
        "taken": answer.taken,
        "status": answer.status or None,
        "error": answer.error,
        "milliseconds": answer.milliseconds,
    }


async def _outbox(context: Context, namespace: str, name: str) -> dict[str, Any] | None:
    """What waits, as it was kept last; None where nothing was sent yet, or nothing is any more."""
    live = context.subscriptions.state.live.get((namespace, name))
    bucket = await context.ports.kv.bucket(BUCKET)
    kept = await Shelf(bucket, namespace, name).load()
    if live is None or kept is None or kept.epoch != live.epoch:
        return None
    return {
        "waiting": len(kept.entries),
        "done_up_to": kept.done_up_to,
        "position": kept.position,
        "failures": kept.failures,
        "failing_since": _text(kept.failing_since),
        "next_try": _text(_next_try(kept, ordered=live.spec.ordered)),
        "replays": len(kept.replays),
    }


def _next_try(kept: Outbox, *, ordered: bool) -> float | None:
    return kept.wake_at(ordered) or None


def _text(seconds: float | None) -> str | None:
    return utc_text(datetime.fromtimestamp(seconds, UTC)) if seconds else None


ROUTES = [
    Route("/v1/{namespace}/subscription/{id}/delivery", list_deliveries),
    Route("/v1/{namespace}/subscription/{id}/test", send_test, methods=["POST"]),
]
