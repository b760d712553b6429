"""The schemas of the OpenAPI document: of the contracts, of the views, and of the API's own."""

from typing import Any

from penstock_gateway.domain.view import View
from penstock_gateway.http.describing import Schema
from penstock_gateway.nouns import VIEWS
from penstock_schemas import ANYONE, NAME_PATTERN, Event, ObjectRef, event_types, kinds

_REF = "#/components/schemas/"
_TEXT: Schema = {"type": "string"}
_SEQUENCE: Schema = {"type": "integer", "minimum": 0}
_OPTIONAL_TEXT: Schema = {"type": ["string", "null"]}
_NOT_IN_OPENAPI = ("$schema", "$id", "$defs")
_BASE_TYPES: dict[str, Schema] = {
    "namespace": {"type": "string", "pattern": NAME_PATTERN},
    "id": {"type": "string", "pattern": NAME_PATTERN},
    "status": _TEXT,
    "reason": _TEXT,
    "created_at": {"type": "string", "format": "date-time"},
    "updated_at": {"type": "string", "format": "date-time"},
    "created_sequence": _SEQUENCE,
    "sequence": _SEQUENCE,
}


def wish_of(noun: str) -> type[Event] | None:
    """The wish by which anybody may ask for a thing of this noun, if there is one."""
    found = event_types().get(f"{noun}.requested")
    return found if found is not None and found.owner == ANYONE else None


def components() -> dict[str, Schema]:
    """What is the same for all nouns."""
    receipt = {"id": _TEXT, "sequence": _SEQUENCE, "duplicate": {"type": "boolean"}}
    return {
        "Problem": _object(
            {
                "type": _TEXT,
                "title": _TEXT,
                "status": {"type": "integer"},
                "detail": {**_TEXT, "description": "What is wrong"},
                "field": {**_TEXT, "description": "The field or parameter at fault"},
                "hint": {**_TEXT, "description": "What to do"},
                "current_sequence": {**_SEQUENCE, "description": "412: what it stands at"},
            },
            ("type", "title", "status", "detail"),
        ),
        "Receipt": _object(
            receipt | {"noun": _TEXT, "name": _TEXT}, tuple(receipt), "The event that was appended"
        ),
        "Event": _event(),
        "EventPage": _object(
            {"items": {"type": "array", "items": _ref("Event")}, "position": _SEQUENCE},
            ("items", "position"),
        ),
        "EventTree": _object(
            {
                "event": _ref("Event"),
                "children": {"type": "array", "items": _ref("EventTree")},
                "asked": {"type": "boolean"},
                "complete": {"type": "boolean"},
            },
            ("event", "children"),
        ),
        "Folder": _object(
            {
                "files": {
                    "type": "array",
                    "minItems": 1,
                    "items": _object(
                        {"path": _TEXT, "object": _ref("ObjectRef")}, ("path", "object")
                    ),
                }
            },
            ("files",),
        ),
        "Platform": _object(
            {
                "version": _TEXT,
                "gateway_url": _TEXT,
                "serving_url": _TEXT,
                "nats_url": _TEXT,
                "services": {"type": "object"},
                "position": _SEQUENCE,
            },
            ("version", "gateway_url", "position"),
        ),
        "ObjectRef": _hoisted(ObjectRef.model_json_schema(), {}),
        **_publishable(),
    }


def noun_components() -> dict[str, Schema]:
    """A row and a page of every noun, and the declarations of the kinds."""
    made: dict[str, Schema] = {}
    for noun, view in VIEWS.items():
        made[noun] = _row(view)
        made[f"{noun}.page"] = _object(
            {
                "items": {"type": "array", "items": _ref(noun)},
                "position": {**_SEQUENCE, "description": "The sequence that the rows are true at"},
                "at": _OPTIONAL_TEXT,
                "next": {**_OPTIONAL_TEXT, "description": "`cursor` of the next page, if any"},
            },
            ("items", "position", "at", "next"),
        )
    for kind, cls in kinds().items():
        if cls.owner != ANYONE:
            made[f"{cls.type}.fields"] = _fields(cls, made)
        made[f"{kind}.declaration"] = _object(
            {
                "kind": {"const": kind},
                "name": _TEXT,
                "namespace": _TEXT,
                "fields": _ref(f"{cls.type}.fields"),
                "event_id": _TEXT,
                "sequence": _SEQUENCE,
                "refusal": {
                    **_OPTIONAL_TEXT,
                    "description": "Why what was asked for after it was refused",
                },
            },
            ("kind", "name", "namespace", "fields", "event_id", "sequence"),
        )
    return made


def _row(view: View) -> Schema:
    own: dict[str, Schema] = {name: {"description": text} for name, text in view.columns.items()}
    base: dict[str, Schema] = {
        name: {**_BASE_TYPES[name], "description": text}
        for name, text in view.all_columns.items()
        if name in _BASE_TYPES and name not in view.columns
    }
    return _object(base | own, tuple(base | own))


def _event() -> Schema:
    return _object(
        {
            "sequence": _SEQUENCE,
            "time": {"type": "string", "format": "date-time"},
            "id": _TEXT,
            "type": _TEXT,
            "version": {"type": "integer"},
            "namespace": _TEXT,
            "subject_id": {**_TEXT, "description": "The name or id of the thing"},
            "source": _TEXT,
            "correlation_id": _OPTIONAL_TEXT,
            "causation_id": _OPTIONAL_TEXT,
            "data": {"type": "object", "description": "As the event catalogue says of its type"},
            "subject": {**_TEXT, "description": "Of a message that is not readable"},
            "problem": {**_TEXT, "description": "Why it is not readable; then there is no data"},
        },
        ("sequence", "time", "id", "type", "version", "namespace", "subject_id", "source"),
    )


def _publishable() -> dict[str, Schema]:
    """Every event that anybody may append: its data, and for wishes the fields without the id."""
    from penstock_schemas.catalog.json_schema import event_schema  # noqa: PLC0415 - 30 ms

    made: dict[str, Schema] = {}
    choices = []
    for type, cls in event_types().items():
        if cls.owner != ANYONE:
            continue
        schema = event_schema(cls)
        made[type] = _hoisted(schema, made)
        choices.append(
            _object({"type": {"const": type}, "data": _ref(type)}, ("type", "data"), closed=True)
        )
        if type == f"{cls.noun()}.requested":
            made[f"{type}.fields"] = _without_key(made[type], cls)
    made["Publishable"] = {"oneOf": choices}
    return made


def _fields(cls: type[Event], parts: dict[str, Schema]) -> Schema:
    """The fields of a declarative event that nobody but the gateway appends."""
    from penstock_schemas.catalog.json_schema import event_schema  # noqa: PLC0415 - 30 ms

    return _without_key(_hoisted(event_schema(cls), parts), cls)


def _without_key(schema: Schema, cls: type[Event]) -> Schema:
    required = [name for name in schema.get("required", ()) if name != cls.key]
    return {**schema, "required": required}


def _hoisted(schema: Schema, parts: dict[str, Schema]) -> Schema:
    """A schema whose own parts have become components in `parts`."""
    for name, part in schema.get("$defs", {}).items():
        hoisted = _referring(part)
        assert parts.setdefault(name, hoisted) == hoisted, f"two parts are called {name}"
    return dict(_referring({k: v for k, v in schema.items() if k not in _NOT_IN_OPENAPI}))


def _referring(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_referring(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        word: value.replace("#/$defs/", _REF)
        if word == "$ref" and isinstance(value, str)
        else value
        if word in ("examples", "default")
        else _referring(value)
        for word, value in schema.items()
    }


def _ref(name: str) -> Schema:
    return {"$ref": f"{_REF}{name}"}


def _object(
    properties: dict[str, Any],
    required: tuple[str, ...],
    description: str = "",
    *,
    closed: bool = False,
) -> Schema:
    made: Schema = {"type": "object", "properties": properties, "required": list(required)}
    if description:
        made["description"] = description
    if closed:
        made["additionalProperties"] = False
    return made
