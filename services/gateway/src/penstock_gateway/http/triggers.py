"""Triggers before they are turned on, and after: dry run, backtest, and why they fired or not."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from penstock_chassis.message import Recorded, read_recorded
from penstock_gateway.adapters.cel import compile_cel
from penstock_gateway.domain.trial import RUN_SECONDS_DEFAULT, dry_run
from penstock_gateway.domain.trigger_book import TriggerBook
from penstock_gateway.domain.trigger_checks import fault_of
from penstock_gateway.errors import InvalidTrigger
from penstock_gateway.handlers.backtest import Backtest, Stretch
from penstock_gateway.handlers.explain import explain
from penstock_gateway.handlers.rows import RowsAsOf
from penstock_gateway.http.answers import dump, json_response
from penstock_gateway.http.context import Context, context_of
from penstock_gateway.http.describing import Answer, describes
from penstock_gateway.http.events import find_event
from penstock_gateway.http.parameters import json_object, name_of, namespace_of
from penstock_gateway.http.problems import Problem
from penstock_gateway.nouns import VIEWS
from penstock_schemas import (
    InvalidEvent,
    SchemaError,
    TriggerRequested,
    UnknownType,
    decode,
    event_class,
)

RUN_SECONDS_MAX = 31 * 86_400
_ONE_AT_A_TIME = asyncio.Semaphore(1)
"""Backtests and explanations read much: one after another."""


@describes(
    Answer("What it would have fired, what it did fire, and the difference"),
    body=Answer(
        "The stretch (`since`, `until`), and a `definition` in place of the declared one",
        {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "since": {"type": ["string", "null"], "format": "date-time"},
                "until": {"type": ["string", "null"], "format": "date-time"},
                "definition": {"type": ["object", "null"]},
                "run_seconds": {
                    "type": "number",
                    "exclusiveMinimum": 0,
                    "maximum": RUN_SECONDS_MAX,
                    "default": RUN_SECONDS_DEFAULT,
                },
            },
        },
    ),
    problems=(400, 404, 413, 415, 422),
)
async def backtest(request: Request) -> Response:
    """What a trigger would have fired over a stretch of the log, and what it did fire."""
    context, namespace = context_of(request), namespace_of(request, writes=True)
    body = await _body(request, {"since", "until", "definition", "run_seconds"})
    declared = await _declared(context, namespace, name_of(request), body.get("definition"))
    now = context.ports.clock.now()
    until = _moment(body, "until") or now
    stretch = Stretch(_moment(body, "since"), min(until, now + timedelta(seconds=1)))
    run_seconds = body.get("run_seconds", RUN_SECONDS_DEFAULT)
    if (
        isinstance(run_seconds, bool)
        or not isinstance(run_seconds, int | float)
        or not 0 < run_seconds <= RUN_SECONDS_MAX
    ):
        problem = f"it is a number of seconds above 0, at most {RUN_SECONDS_MAX}"
        raise Problem(422, problem, field="run_seconds")
    test = Backtest(context.ports.log, VIEWS, compile_cel, namespace, declared, float(run_seconds))
    try:
        async with _ONE_AT_A_TIME:
            return json_response(await test.run(stretch))
    except InvalidTrigger as error:
        raise _not_valid(error) from None


@describes(
    Answer("Whether it `fires`, the `reason`, and what it `produces`"),
    body=Answer(
        "An `event` (its sequence, its id, or one made up), and a `definition` to try",
        {
            "type": "object",
            "additionalProperties": False,
            "properties": {"event": {}, "definition": {"type": ["object", "null"]}},
        },
    ),
    problems=(400, 404, 413, 415, 422),
)
async def try_event(request: Request) -> Response:
    """What one event, recorded or made up, would make a trigger ask for; its timing aside. Without
    an event, only whether the trigger could ever work."""
    context, namespace = context_of(request), namespace_of(request, writes=True)
    body = await _body(request, {"event", "definition"})
    name = name_of(request)
    declared = await _declared(context, namespace, name, body.get("definition"))
    fault = partial(fault_of, compile=compile_cel)(TriggerBook(), namespace, declared)
    if fault is not None:
        raise _not_valid(InvalidTrigger(*fault))
    if body.get("event") is None:
        return json_response({"fires": False, "reason": "it is valid", "produces": None})
    known = context.triggers.book.triggers.get((namespace, name))
    number = known.upcoming if known is not None else 1
    recorded, row = await _event(request, namespace, body.get("event"))
    return json_response(dry_run(declared, recorded, number, row, compile_cel))


@describes(
    Answer("For each trigger whether and why it fired"),
    query=("event",),
    problems=(400, 404, 422),
    all_namespaces=False,
)
async def explain_event(request: Request) -> Response:
    """For each trigger of the namespace, why it did or did not fire for an event."""
    context, namespace = context_of(request), namespace_of(request, writes=True)
    named = request.query_params.get("event", "")
    if not named:
        hint = "GET …/trigger/explain?event=1207, its sequence or its id"
        raise Problem(400, "name the event", field="event", hint=hint)
    recorded = await _recorded(request, namespace, named)
    async with _ONE_AT_A_TIME:
        return json_response(await explain(context.ports.log, VIEWS, compile_cel, recorded))


async def _body(request: Request, known: set[str]) -> Mapping[str, Any]:
    body = await json_object(request)
    if unknown := sorted(set(body) - known):
        field = unknown[0][:80]
        hint = f"known are: {', '.join(sorted(known))}"
        raise Problem(422, f"the body has no field {field!r}", field=field, hint=hint)
    return body


async def _declared(
    context: Context, namespace: str, name: str, definition: Any
) -> TriggerRequested:
    """The declaration in the request, or else the one that stands."""
    if definition is not None:
        if not isinstance(definition, dict):
            raise Problem(422, "the definition is a JSON object", field="definition")
        named = {"trigger": name, **definition}
        if named["trigger"] != name:
            raise Problem(422, f"the path names the trigger {name}", field="definition.trigger")
        for given in named:
            if given not in TriggerRequested.model_fields:
                field = f"definition.{given[:80]}"
                hint = f"one of: {', '.join(TriggerRequested.model_fields)}"
                raise Problem(422, f"a trigger has no field {given[:80]!r}", field=field, hint=hint)
        try:
            return TriggerRequested.model_validate_json(dump(named))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            field = ".".join(["definition", *map(str, first["loc"])])
            raise Problem(422, f"{field}: {first['msg']}", field=field) from None
    trigger = context.triggers.book.triggers.get((namespace, name))
    if trigger is None or trigger.declared is None:
        hint = "send its definition with the request, or declare it"
        raise Problem(404, f"there is no trigger {name!r} in {namespace}", field="id", hint=hint)
    return trigger.declared


async def _event(request: Request, namespace: str, given: Any) -> tuple[Recorded, Any]:
    """The event of a dry run, with its row where it is a recorded one."""
    context = context_of(request)
    if isinstance(given, int | str) and not isinstance(given, bool):
        recorded = await _recorded(request, namespace, str(given))
        return recorded, await RowsAsOf(context.ports.log, VIEWS).of(recorded)
    if not isinstance(given, dict) or not isinstance(given.get("type"), str):
        hint = 'send {"event": 1207} or {"event": {"type": …, "data": …}}'
        raise Problem(422, "name a recorded event, or write one", field="event", hint=hint)
    try:
        contract = event_class(given["type"])
        data = given.get("data", dict(contract.example))
        event = decode(given["type"], contract.version, dump(data))
    except UnknownType as error:
        raise Problem(422, str(error), field="event.type") from None
    except InvalidEvent as error:
        at = error.fields[0][0] if error.fields else ""
        raise Problem(422, str(error), field=f"event.data.{at}".rstrip(".")) from None
    now = context.ports.clock.now()
    return Recorded(event, namespace, 0, now, "dry-run", "dry-run", "dry-run"), None


async def _recorded(request: Request, namespace: str, named: str) -> Recorded:
    stored = await find_event(request, namespace, named)
    try:
        return read_recorded(stored)
    except SchemaError as error:
        problem = f"the event {named[:80]} is not readable: {error}"
        raise Problem(422, problem, field="event") from None


def _moment(body: Mapping[str, Any], name: str) -> datetime | None:
    given = body.get(name)
    if given is None:
        return None
    try:
        time = datetime.fromisoformat(given)
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (TypeError, ValueError, OverflowError):
        hint = "write RFC 3339, e.g. 2026-11-24T10:00:00Z"
        raise Problem(422, f"{str(given)[:80]!r} is not a time", field=name, hint=hint) from None


def _not_valid(error: InvalidTrigger) -> Problem:
    return Problem(422, error.reason, field=error.field, hint=error.fix)


ROUTES = [
    Route("/v1/{namespace}/trigger/explain", explain_event),
    Route("/v1/{namespace}/trigger/{id}/backtest", backtest, methods=["POST"]),
    Route("/v1/{namespace}/trigger/{id}/dry-run", try_event, methods=["POST"]),
]
