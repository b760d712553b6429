"""What makes a declaration of a trigger one that could never work."""

from collections.abc import Iterator, Mapping
from typing import Any

from penstock_gateway.domain.expressions import Compile
from penstock_gateway.domain.templates import InvalidTemplate, codes
from penstock_gateway.domain.trigger_book import TriggerBook
from penstock_gateway.errors import ExpressionError, InvalidExpression
from penstock_schemas import (
    ANYONE,
    Event,
    TriggerRejected,
    TriggerRequested,
    UnknownType,
    event_class,
)

TRIGGERS_PER_TYPE_MAX = 100
"""Triggers of one namespace that may wait for one event type: they fire in one batch."""

_META = {
    "id": "0190c2a4-7b1e-7c30-8f00-000000000001",
    "type": "",
    "namespace": "default",
    "sequence": 1,
    "time": "2026-01-01T00:00:00Z",
}

Fault = tuple[str, str, str]
"""Field, what is wrong, what to do."""


def fault_of(
    book: TriggerBook, namespace: str, event: TriggerRequested, compile: Compile
) -> Fault | None:
    """Why the declaration can never work, None where it may."""
    return next(iter(_faults(book, namespace, event, compile)), None)


def _faults(
    book: TriggerBook, namespace: str, event: TriggerRequested, compile: Compile
) -> Iterator[Fault]:
    try:
        cause = event_class(event.on)
    except UnknownType as error:
        yield "on", str(error), "name a type of the catalogue, e.g. features.materialized"
        return
    if cause is TriggerRejected:
        yield "on", "a trigger cannot wait for refusals of triggers", "wait for another type"
    waiting = list(book.waiting.get((namespace, event.on), ()))
    if event.trigger in waiting[TRIGGERS_PER_TYPE_MAX:]:
        yield (
            "on",
            f"{TRIGGERS_PER_TYPE_MAX} triggers wait for {event.on} in this namespace already",
            "put several conditions into one trigger",
        )
    example = {"event": dict(cause.example), "meta": dict(_META), "number": 1}
    yield from _expression_faults("when", event.when, example, compile)
    try:
        wish = event_class(event.do.type)
    except UnknownType as error:
        yield "do.type", str(error), "name a type of the catalogue, e.g. job.requested"
        return
    if wish.owner != ANYONE:
        yield "do.type", f"only {wish.owner} may append {wish.type}", "ask for a wish"
    yield from _data_faults(wish, event.do.data)
    try:
        for path, text in codes(event.do.data, "do.data"):
            yield from _expression_faults(path, text, example, compile)
    except InvalidTemplate as error:
        yield error.path, error.problem, f"mend {error.path}"


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


def _expression_faults(
    path: str, text: str, example: Mapping[str, Any], compile: Compile
) -> Iterator[Fault]:
    """What is wrong with an expression whatever the event: an event of this type that lacks a
    field or has other values is no fault of the declaration."""
    try:
        compile(text).evaluate(example)
    except InvalidExpression as error:
        yield path, str(error), "write a CEL expression over event, meta and number"
    except ExpressionError:
        return
