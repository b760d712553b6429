"""The catalogue for people: one Markdown page, a section a noun, a table an event."""

import json
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

from penstock_schemas.acceptance import Schema
from penstock_schemas.catalog.json_schema import OWNER, SHARED_WITH
from penstock_schemas.names import NAME_LENGTH_MAX, NAME_PATTERN

_HEAD = """# The event catalogue

Generated from the contracts by `python -m penstock_schemas.catalog`; do not edit. Every event
travels as plain JSON on `penstock.<namespace>.<noun>.<verb>.<id>` with its CloudEvents attributes
as headers. Facts end in a past participle and are appended by the service named here; wishes end
in `requested` and may come from anyone. Readers ignore fields that they do not know. A *name* is
lower-case letters, digits and hyphens, at most 63 characters; a *digest* is `blake3:` or
`sha256:` and 64 hexadecimal digits. Machines read [asyncapi.json](asyncapi.json) and the schemas
linked below."""


def page(schemas: Mapping[str, Schema]) -> str:
    """The page for the schemas of a catalogue, by path."""
    newest: dict[str, str] = {}
    for path in sorted(schemas, key=_version):
        newest[path.split("/")[0]] = path
    types = sorted(newest)
    parts: dict[str, Schema] = {}
    for path in newest.values():
        parts |= _parts(schemas[path])
    lines = [_HEAD]
    for noun, group in groupby(types, key=lambda type: type.split(".")[0]):
        events = list(group)
        lines += [f"## {noun}", _table(_overview(schemas, newest, events))]
        for type in events:
            lines += _event(type, newest[type], schemas)
    lines.append("## Shared parts")
    for name in sorted(name for name, part in parts.items() if "title" in part):
        lines += [f"### {name}", parts[name]["description"], _fields(parts[name], parts)]
    return "\n\n".join(lines) + "\n"


def _version(path: str) -> int:
    return int(path.rsplit("/v", 1)[1].removesuffix(".json"))


def _parts(schema: Schema) -> dict[str, Schema]:
    parts: dict[str, Schema] = schema.get("$defs", {})
    return parts


def _overview(
    schemas: Mapping[str, Schema], newest: Mapping[str, str], types: list[str]
) -> Iterator[tuple[str, ...]]:
    yield ("event", "version", "appended by", "says")
    for type in types:
        schema = schemas[newest[type]]
        says = schema["description"].split("\n\n")[0].replace("\n", " ")
        yield (f"[`{type}`](#{_anchor(type)})", str(_version(newest[type])), _owner(schema), says)


def _owner(schema: Schema) -> str:
    return " or ".join([schema[OWNER], *schema.get(SHARED_WITH, ())])


def _anchor(heading: str) -> str:
    return heading.lower().replace(".", "")


def _event(type: str, path: str, schemas: Mapping[str, Schema]) -> Iterator[str]:
    schema = schemas[path]
    yield f"### {type}"
    yield str(schema["description"])
    others = [other for other in schemas if other.startswith(f"{type}/") and other != path]
    versions = "".join(
        f" Version {_version(other)} is still read: [schema]({other})." for other in others
    )
    yield (
        f"Version {_version(path)}, [schema]({path}); appended by {_owner(schema)}; "
        f"`{schema['x-penstock-key']}` is the id.{versions}"
    )
    yield _fields(schema, _parts(schema))
    yield "```json\n" + json.dumps(schema["examples"][0], indent=2, ensure_ascii=False) + "\n```"


def _fields(schema: Schema, parts: Mapping[str, Schema]) -> str:
    rows = [("field", "type", "if absent", "meaning")]
    for name, rule in schema["properties"].items():
        required = name in schema.get("required", ())
        absent = "required" if required else f"`{json.dumps(rule.get('default'))}`"
        rows.append((f"`{name}`", spelled(rule, parts), absent, _meaning(rule, parts)))
    return _table(rows)


def _meaning(rule: Schema, parts: Mapping[str, Schema]) -> str:
    for branch in (rule, *rule.get("anyOf", ())):
        if "description" in branch:
            return str(branch["description"])
    for branch in (rule, *rule.get("anyOf", ())):
        if "$ref" in branch:
            described = str(_part(branch, parts).get("description", ""))
            return described.split("\n\n", maxsplit=1)[0].replace("\n", " ")
    return ""


def _part(rule: Schema, parts: Mapping[str, Schema]) -> Schema:
    return parts[rule["$ref"].removeprefix("#/$defs/")]


def spelled(rule: Any, parts: Mapping[str, Schema]) -> str:
    """The type that a schema describes, in words, with its bounds."""
    if "$ref" in rule:
        name = _part(rule, parts).get("title")
        return f"[{name}](#{_anchor(name)})" if name else "any JSON"
    for word in ("anyOf", "oneOf"):
        if word in rule:
            return " or ".join(spelled(branch, parts) for branch in rule[word])
    if "const" in rule or "enum" in rule:
        return " or ".join(f"`{value}`" for value in rule.get("enum", [rule.get("const")]))
    if rule.get("type") == "string":
        return _text(rule)
    return _collection(rule, parts) or f"{rule.get('type', 'any JSON')}{_limits(rule)}"


def _collection(rule: Schema, parts: Mapping[str, Schema]) -> str:
    if rule.get("type") == "array":
        return f"list of {spelled(rule['items'], parts)}{_span(rule, 'Items', ' items')}"
    if rule.get("type") == "object":
        patterns = list(rule.get("patternProperties", {}).values())
        value = patterns[0] if patterns else rule.get("additionalProperties", {})
        return f"map to {spelled(value, parts)}{_span(rule, 'Properties', ' keys')}"
    return ""


def _text(rule: Schema) -> str:
    if rule.get("pattern") == NAME_PATTERN:
        longest = rule["maxLength"]
        return "name" if longest == NAME_LENGTH_MAX else f"name of at most {longest}"
    if "sha256" in rule.get("pattern", ""):
        return "digest"
    if rule.get("format") == "date-time":
        return "time"
    pattern = f" matching `{rule['pattern']}`" if "pattern" in rule else ""
    return f"text{_span(rule, 'Length', ' characters')}{pattern}"


def _span(rule: Schema, size: str, unit: str) -> str:
    least, most = rule.get(f"min{size}"), rule.get(f"max{size}")
    if least is None and most is None:
        return ""
    if most is None:
        return f", at least {least}{unit}"
    return f", {least or 0} to {most}{unit}"


def _limits(rule: Schema) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    return "".join(f" {sign} {rule[word]}" for word, sign in signs.items() if word in rule)


def _table(rows: Any) -> str:
    cells = [tuple(cell.replace("|", "\\|").replace("\n", " ") for cell in row) for row in rows]
    head, *body = (f"| {' | '.join(row)} |" for row in cells)
    return "\n".join([head, "|" + " --- |" * len(cells[0]), *body])
