"""One JSON Schema (2020-12) per kind, for editors: what a document in a file may say.

# yaml-language-server: $schema=…/schemas/catalog/kinds/queue.json
"""

from typing import Any

from penstock_schemas.acceptance import Schema
from penstock_schemas.catalog.json_schema import DIALECT, event_schema
from penstock_schemas.event import Event
from penstock_schemas.kinds import KIND, NAME, NAMESPACE, lives_in_itself
from penstock_schemas.names import NAME_LENGTH_MAX, NAME_PATTERN

KIND_URN = "urn:penstock:kind"
UPLOAD = "upload"
"""The only word of a mapping that stands for an object: the path of what `apply` uploads."""
_HOME = {
    "type": "string",
    "pattern": NAME_PATTERN,
    "maxLength": NAME_LENGTH_MAX,
    "description": "The namespace, where it is not that of the command",
}
_OBJECT, _STORED, _UPLOAD = "ObjectRef", "StoredObject", "Upload"


def kind_path(kind: str) -> str:
    """Where the schema of a kind lies in the catalogue."""
    return f"kinds/{kind}.json"


def kind_schema(cls: type[Event]) -> Schema:
    """The schema of the documents that declare what `cls` says."""
    wish = event_schema(cls)
    properties: dict[str, Any] = dict(wish["properties"])
    name = properties.pop(cls.key)
    required = [word for word in wish.get("required", ()) if word != cls.key]
    home = {} if lives_in_itself(cls) else {NAMESPACE: _HOME}
    return {
        "$schema": DIALECT,
        "$id": f"{KIND_URN}:{cls.noun()}",
        "title": cls.noun(),
        "description": wish["description"],
        "type": "object",
        "properties": {
            KIND: {"const": cls.noun(), "description": "What the document declares"},
            NAME: {**name, "description": f"The name of the {cls.noun()}"},
            **home,
            **properties,
        },
        "required": [KIND, NAME, *required],
        "additionalProperties": False,
        **({"$defs": _with_uploads(wish["$defs"])} if "$defs" in wish else {}),
        "examples": [_example(cls)],
    }


def _with_uploads(parts: dict[str, Schema]) -> dict[str, Schema]:
    """The parts, with a file or folder to upload wherever an object is expected."""
    if _OBJECT not in parts:
        return parts
    either = {"anyOf": [{"$ref": f"#/$defs/{_STORED}"}, {"$ref": f"#/$defs/{_UPLOAD}"}]}
    upload = {
        "type": "object",
        "description": "A file or folder beside this document, uploaded when it is applied",
        "properties": {UPLOAD: {"type": "string", "minLength": 1, "description": "Its path"}},
        "required": [UPLOAD],
        "additionalProperties": False,
    }
    others = {name: part for name, part in parts.items() if name != _OBJECT}
    return {**others, _OBJECT: either, _STORED: parts[_OBJECT], _UPLOAD: upload}


def _example(cls: type[Event]) -> dict[str, Any]:
    fields = {name: value for name, value in cls.example.items() if name != cls.key}
    return {KIND: cls.noun(), NAME: cls.example[cls.key], **fields}
