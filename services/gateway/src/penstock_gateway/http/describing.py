"""What an operation of the API takes and answers, said beside the function that does it.

`openapi` makes the OpenAPI document of these descriptions, the routes, the views and the event
schemas. A route without a description is a defect that a test finds. The first paragraph of the
function's docstring is the operation's summary.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from penstock_gateway.http.parameters import (
    LIMIT_DEFAULT,
    LIMIT_MAX,
    SEQUENCE_MAX,
    TYPE_PATTERN,
)
from penstock_schemas import NAME_LENGTH_MAX, NAME_PATTERN

H = TypeVar("H", bound=Callable[..., Any])
Schema = dict[str, Any]
_ATTRIBUTE = "operation"

EVERY, ASKED, DECLARED = "every", "asked", "declared"
"""Nouns that a route with `{noun}` is there for: all; those with a wish that anybody may append;
those that are kinds by such a wish."""
JSON, TEXT, BYTES = "application/json", "text/plain", "application/octet-stream"
STREAM = "text/event-stream"


@dataclass(frozen=True)
class Answer:
    """One way to be answered. `schema` is the name of a component, a schema, or None: any JSON.
    In names, `{noun}` stands for the noun and `{wish}` for the type of its wish."""

    description: str
    schema: str | Schema | None = None
    media_type: str | None = JSON
    """None: no body."""
    headers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Operation:
    """One method of one path."""

    answers: Mapping[int, Answer]
    query: tuple[str, ...] = ()
    """Names in `PARAMETERS`."""
    headers: tuple[str, ...] = ()
    body: Answer | None = None
    problems: tuple[int, ...] = ()
    """Statuses of refusals that it may give, beside those that every operation may give."""
    nouns: str = EVERY
    columns: bool = False
    """Whether the noun's columns are filters in the query."""
    all_namespaces: bool = True
    """Whether a GET may read all namespaces at once."""


def describes(
    answers: Mapping[int, Answer] | Answer,
    *,
    query: tuple[str, ...] = (),
    headers: tuple[str, ...] = (),
    body: Answer | None = None,
    problems: tuple[int, ...] = (),
    nouns: str = EVERY,
    columns: bool = False,
    all_namespaces: bool = True,
) -> Callable[[H], H]:
    """Describe the decorated function; an `Answer` alone is that of status 200."""
    given = {200: answers} if isinstance(answers, Answer) else dict(answers)
    operation = Operation(given, query, headers, body, problems, nouns, columns, all_namespaces)

    def describe(handler: H) -> H:
        setattr(handler, _ATTRIBUTE, operation)
        return handler

    return describe


def operation_of(handler: Callable[..., Any]) -> Operation | None:
    """The description of a route's function."""
    return getattr(handler, _ATTRIBUTE, None)


@dataclass(frozen=True)
class Parameter:
    """A parameter in the query or in a header."""

    description: str
    schema: Schema = field(default_factory=lambda: {"type": "string"})


def _number(least: int, most: int = SEQUENCE_MAX, **more: Any) -> Schema:
    return {"type": "integer", "minimum": least, "maximum": most, **more}


_MOMENT: Schema = {"type": "string", "format": "date-time", "examples": ["2026-11-24T10:00:00Z"]}

PARAMETERS: Mapping[str, Parameter] = {
    "at": Parameter("As it was at this time (RFC 3339); now, where it is not given", _MOMENT),
    "since": Parameter("Only what was stored at or after this time (RFC 3339)", _MOMENT),
    "limit": Parameter("Items of one page", _number(1, LIMIT_MAX, default=LIMIT_DEFAULT)),
    "cursor": Parameter("`next` of the page before", _number(0)),
    "after": Parameter("Only what stands above this sequence of the log", _number(0)),
    "type": Parameter(
        "An event type, or a pattern of one: `job.placed`, `job.*`, `*.rejected`, `job`",
        {"type": "string", "pattern": TYPE_PATTERN},
    ),
    "id": Parameter(
        "Only events about the thing of this name or id",
        {"type": "string", "pattern": NAME_PATTERN, "maxLength": NAME_LENGTH_MAX},
    ),
    "event": Parameter("The sequence of an event, or its id"),
    "failed": Parameter(
        "Only tries that were not taken (`true`), or only those that were (`false`)",
        {"type": "string", "enum": ["true", "false"]},
    ),
    "reason": Parameter("Why, for a person", {"type": "string", "maxLength": 1024}),
    "uri": Parameter("The object's address, as the upload gave it"),
    "digest": Parameter("The object's digest, as the upload gave it"),
    "size_bytes": Parameter("The object's size, as the upload gave it", _number(0)),
    "idempotency-key": Parameter(
        "The same key with the same body has one effect, for as long as the log is kept; with "
        "another body it is refused. A key counts for one thing (namespace, noun, id) and type",
        {"type": "string", "minLength": 1, "maxLength": 255},
    ),
    "if-match": Parameter(
        "Write only where the thing has not changed since this entity tag (the ETag of a GET: the "
        "log's sequence), or, with `*`, where it is there",
        {"type": "string", "examples": ['"17"', "*"]},
    ),
    "if-none-match": Parameter(
        "GET: answer 304 where this is still the entity tag. Writes: `*` writes only what is not "
        "there yet"
    ),
    "last-event-id": Parameter("Go on behind this sequence of the log", _number(0)),
}
"""Every parameter that is not in a path, by its name; header names are in lower case."""

RESPONSE_HEADERS: Mapping[str, str] = {
    "etag": "The log's sequence of what changed it last, as an entity tag",
    "location": "Where the thing is to be seen",
}

WISH = Answer("The fields of the wish", "{wish}.fields")
ROWS = Answer("A page, newest first", "{noun}.page")
ROW = Answer("The row", "{noun}", headers=("etag",))
EVENTS = Answer("Events in the order of the log", "EventPage")
RECEIPT = Answer("Durable in the log", "Receipt")
NOT_MODIFIED = Answer("It is still as the entity tag says", media_type=None, headers=("etag",))
OBJECT = Answer("The object is durable", "ObjectRef")


def items(of: str = "") -> Schema:
    """The schema of a list in an object."""
    item: Schema = {"$ref": f"#/components/schemas/{of}"} if of else {"type": "object"}
    listed: Schema = {"type": "array", "items": item}
    return {"type": "object", "properties": {"items": listed}, "required": ["items"]}
