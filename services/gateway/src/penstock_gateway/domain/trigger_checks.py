"""What makes a declaration of a trigger one that could never work."""

from collections.abc import Iterator, Mapping
from typing import Any

from penstock_gateway.domain.cron import fault_of_cron
from penstock_gateway.domain.endings import ENDINGS, cancel_type
from penstock_gateway.domain.expressions import Compile
from penstock_gateway.domain.firing import Fault
from penstock_gateway.domain.judging import ACTION_NAMES, CONDITION_NAMES, ROW
from penstock_gateway.domain.templates import InvalidTemplate, codes
from penstock_gateway.domain.trigger_book import TriggerBook, awaited
from penstock_gateway.errors import ExpressionError, InvalidExpression
from penstock_schemas import (
    ANYONE,
    Event,
    InvalidEvent,
    TriggerRejected,
    TriggerRequested,
    UnknownType,
    check_references,
    event_class,
)

TRIGGERS_PER_TYPE_MAX = 100
"""Triggers of one namespace that may wait for one event type: they may all fire for one event."""
RESERVED = frozenset({"explain"})
"""Names that stand for something else in the API."""

_META = {
    "id": "0190c2a4-7b1e-7c30-8f00-000000000001",
    "type": "",
    "namespace": "default",
    "sequence": 1,
    "time": "2026-01-01T00:00:00Z",
}


def fault_of(
    book: TriggerBook, namespace: str, event: TriggerRequested, compile: Compile
) -> Fault | None:
    """Why the declaration can never work, None where it may."""
    return next(iter(_faults(book, namespace, event, compile)), None)


def _faults(
    book: TriggerBook, namespace: str, event: TriggerRequested, compile: Compile
) -> Iterator[Fault]:
    if event.trigger in RESERVED:
        yield "trigger", f"{event.trigger!r} is a word of the API", "choose another name"
    yield from _source_faults(book, namespace, event)
    yield from _timing_faults(event)
    example = _example(event)
    planned = event.cron is not None
    names = CONDITION_NAMES - {ROW} if planned else CONDITION_NAMES
    yield from _expression_faults("when", event.when, example, names, compile)
    try:
        wish = event_class(event.do.type)
    except UnknownType as error:
        yield "do.type", str(error), "name a type of the catalogue, e.g. job.requested"
        return
    if wish.owner != ANYONE:
        yield "do.type", f"only {wish.owner} may append {wish.type}", "ask for a wish"
    yield from _data_faults(wish, event.do.data)
    yield from _foreign_faults(namespace, event)
    names = ACTION_NAMES - {ROW} if planned else ACTION_NAMES
    try:
        for path, text in codes(event.do.data, "do.data"):
            yield from _expression_faults(path, text, example, names, compile)
    except InvalidTemplate as error:
        yield error.path, error.problem, f"mend {error.path}"


def _source_faults(book: TriggerBook, namespace: str, event: TriggerRequested) -> Iterator[Fault]:
    patterns = (event.on,) if isinstance(event.on, str) else event.on
    if bool(patterns) == (event.cron is not None):
        problem = "a trigger waits for events or for planned times, one of the two"
        yield "on", problem, "give `on` or `cron`"
        return
    if event.cron is not None:
        fault = fault_of_cron(event.cron)
        if fault is not None:
            yield fault
        return
    for pattern in patterns:
        if pattern == TriggerRejected.type:
            problem = "a trigger cannot wait for refusals of triggers"
            yield "on", problem, "wait for another type"
        elif not awaited(event.model_copy(update={"on": pattern})):
            problem = f"the catalogue has no type {pattern[:120]!r}"
            yield "on", problem, "name a type of it, e.g. features.materialized, or job.*"
    for type in awaited(event):
        waiting = book.waiting.get((namespace, type), {})
        if event.trigger not in waiting and len(waiting) >= TRIGGERS_PER_TYPE_MAX:
            yield (
                "on",
                f"{TRIGGERS_PER_TYPE_MAX} triggers wait for {type} in this namespace already",
                "put several conditions into one trigger",
            )


def _timing_faults(event: TriggerRequested) -> Iterator[Fault]:
    if event.debounce is not None and event.batch is not None:
        yield "batch", "debounce and batch both say when enough has come", "give one of the two"
    if event.cron is not None and (event.debounce is not None or event.batch is not None):
        at = "debounce" if event.debounce is not None else "batch"
        yield at, "planned times are not gathered", f"leave {at} out"
    concurrency = event.concurrency
    if concurrency is None:
        return
    if event.do.type not in ENDINGS:
        yield (
            "concurrency",
            f"nothing says when what {event.do.type} asks for has ended",
            f"concurrency is for: {', '.join(sorted(ENDINGS))}",
        )
    elif concurrency.policy == "replace" and cancel_type(event.do.type) is None:
        problem = f"what {event.do.type} asks for cannot be cancelled"
        yield "concurrency.policy", problem, "use queue or skip"


def _example(event: TriggerRequested) -> dict[str, Any]:
    """Variables of the kind that the expressions will see."""
    types = awaited(event)
    payload = dict(event_class(types[0]).example) if len(types) == 1 else {}
    if event.cron is not None:
        payload = {"time": _META["time"]}
    return {
        "event": payload,
        "meta": dict(_META),
        "number": 1,
        ROW: {},
        "events": [payload],
        "count": 1,
    }


def _data_faults(wish: type[Event], data: Mapping[str, Any]) -> Iterator[Fault]:
    known = wish.model_fields
    for name in data:
        if name not in known:
            yield (
                f"do.data.{name}",
                f"{wish.type} has no field {name!r}",
                f"use one of: {', '.join(known)}",
            )
    for name, contract in known.items():
        if contract.is_required() and name not in data:
            yield f"do.data.{name}", f"{wish.type} needs the field {name!r}", f"add {name}"


def _foreign_faults(namespace: str, event: TriggerRequested) -> Iterator[Fault]:
    try:
        check_references(event, namespace)
    except InvalidEvent as error:
        for field, problem in error.fields:
            yield field, problem, f"name an object of {namespace}"


def _expression_faults(
    path: str,
    text: str,
    example: Mapping[str, Any],
    names: frozenset[str],
    compile: Compile,
) -> Iterator[Fault]:
    """What is wrong with an expression whatever the event: an event of this type that lacks a
    field or has other values is no fault of the declaration."""
    fix = f"write a CEL expression over {', '.join(sorted(names))}"
    try:
        expression = compile(text)
        unknown = sorted((expression.names & ACTION_NAMES) - names)
        if unknown:
            yield path, f"{text}: {unknown[0]} is not known here", fix
            return
        expression.evaluate({name: example[name] for name in names})
    except InvalidExpression as error:
        yield path, str(error), fix
    except ExpressionError:
        return
