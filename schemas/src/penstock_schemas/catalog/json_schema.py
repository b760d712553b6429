"""One closed JSON Schema (2020-12) per event version.

Closed, so that a mistyped field is found before it is published, and so that schemas can be
compared; readers of ours are tolerant all the same. Generated titles of fields are left out: they
repeat the name. A field that holds the name of the thing that it is called after (`job: Name`)
describes itself.
"""

import json
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from penstock_schemas.acceptance import Schema
from penstock_schemas.compat import KEY
from penstock_schemas.envelope import SCHEMA_URN
from penstock_schemas.event import Event, event_types
from penstock_schemas.names import NAME_PATTERN

DIALECT = "https://json-schema.org/draft/2020-12/schema"
OWNER = "x-penstock-owner"
"""The keyword that says who may append the event."""
SHARED_WITH = "x-penstock-shared-with"
"""The keyword for further services that may, where there are any."""


class _WithoutFieldTitles(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def schema_path(type: str, version: int) -> str:
    """Where the schema of a version lies in the catalogue."""
    return f"{type}/v{version}.json"


def written(document: Schema) -> str:
    """The text of a document of the catalogue."""
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def event_schema(cls: type[Event]) -> Schema:
    """The schema of the newest version of a contract."""
    generated = cls.model_json_schema(schema_generator=_WithoutFieldTitles)
    parts = generated.pop("$defs", {})
    for schema in (generated, *parts.values()):
        _describe_names(schema)
    key = {cls.key: generated["properties"][cls.key]}
    body = _closed(generated | {"properties": key | generated["properties"]})
    return {
        "$schema": DIALECT,
        "$id": f"{SCHEMA_URN}:{cls.type}:{cls.version}",
        "title": body.pop("title"),
        "description": body.pop("description"),
        KEY: cls.key,
        OWNER: cls.owner,
        **({SHARED_WITH: list(cls.shared_with)} if cls.shared_with else {}),
        **body,
        **({"$defs": _closed(parts)} if parts else {}),
        "examples": [cls.example],
    }


def _closed(schema: Any) -> Any:
    """The schema without `discriminator` (not of JSON Schema) and with every object closed."""
    if isinstance(schema, list):
        return [_closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {
        word: value if word in ("default", "examples") else _closed(value)
        for word, value in schema.items()
        if word != "discriminator" or not isinstance(value, dict) or "propertyName" not in value
    }
    if schema.get("type") == "object" and "additionalProperties" not in schema:
        closed["additionalProperties"] = False
    return closed


def _describe_names(schema: Schema) -> None:
    nouns = {cls.noun() for cls in event_types().values()}
    for field, rule in schema.get("properties", {}).items():
        noun = field.rsplit("_", 1)[-1]
        names = (branch.get("pattern") for branch in (rule, *rule.get("anyOf", ())))
        if noun in nouns and NAME_PATTERN in names and "description" not in rule:
            rule["description"] = f"Name or id of the {field.replace('_', ' ')}"
