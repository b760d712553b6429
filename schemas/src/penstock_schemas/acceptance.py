"""What one JSON Schema accepts that another does not: a walk over both, side by side.

It knows the keywords that pydantic writes; another keyword that appears or changes is reported,
never waved through. Two rules go beyond acceptance, because a replayed history must also be read
the same: a type stays what it is (an integer that becomes a number is another type to a reader),
and a default stays what it is. A `oneOf` is taken for what pydantic means by it, a union whose
branches exclude one another.

Source: JSON Schema 2020-12, core and validation vocabularies.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

Schema = dict[str, Any]

_MISSING = object()
_SIZES = ("Length", "Items", "Properties")
_ANNOTATIONS = frozenset({"$id", "$schema", "$defs", "title", "description", "examples", "default"})
_KNOWN = _ANNOTATIONS | {
    *("$ref", "anyOf", "oneOf", "type", "const", "enum", "pattern", "format"),
    *("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"),
    *(f"{end}{size}" for end in ("min", "max") for size in _SIZES),
    *("items", "properties", "required", "additionalProperties", "patternProperties"),
    "propertyNames",
}


class Break(NamedTuple):
    """One thing that the released schema accepted and the new one does not."""

    path: str
    """Where, e.g. `$.files[].digest`; `.*` is any key of a map, `(key)` the key itself."""
    problem: str


def lost(released: Schema, new: Schema) -> list[Break]:
    """Everything that `released` accepts and `new` does not, in the order of the document."""
    return list(dict.fromkeys(_Comparison(released, new).compare(released, new, "$")))


class _Comparison:
    """Two schemas side by side. Pairs of a released and a new reference are compared once."""

    def __init__(self, released: Schema, new: Schema) -> None:
        self._released = released.get("$defs", {})
        self._new = new.get("$defs", {})
        self._seen: set[tuple[str, str]] = set()

    def compare(self, old: Any, new: Any, path: str) -> Iterator[Break]:
        """Yield what `old` accepts and `new` does not."""
        pair = (_identity(old), _identity(new))
        old, new = _resolved(old, self._released), _resolved(new, self._new)
        yield from _default(old, new, path)
        if pair[0] and pair[1]:
            if pair in self._seen:
                return
            self._seen.add(pair)
        if not _constraints(new):
            return  # accepts everything
        if not _constraints(old):
            yield Break(path, "accepted any value and no longer does")
            return
        olds, news = _branches(old), _branches(new)
        if len(olds) == 1 and len(news) == 1:
            yield from self._single(olds[0], news[0], path)
            return
        for branch in olds:
            yield from self._branch(branch, news, path)

    def _branch(self, old: Schema, news: list[Schema], path: str) -> Iterator[Break]:
        """A branch of a union fits where any one branch of the new union accepts all of it."""
        name = _label(old, self._released)
        alike = [new for new in news if _label(new, self._new) == name]
        found: list[Break] = []
        for new in alike or news:
            # A trial comparison must not mark its references as done for the next one.
            seen = set(self._seen)
            found = list(self.compare(old, new, path))
            if not found:
                return
            self._seen = seen
        if len(alike) == 1:
            yield from found
        else:
            yield Break(path, f"the union no longer accepts {name}")

    def _single(self, old: Schema, new: Schema, path: str) -> Iterator[Break]:
        if "$ref" in old or "$ref" in new:
            yield from self.compare(old, new, path)
            return
        if old.get("type") != new.get("type") and "type" in new:
            yield Break(path, f"the type changed from {old.get('type')} to {new['type']}")
            return
        yield from _unknown(old, new, path)
        old_values, new_values = _values(old), _values(new)
        if old_values is not None:
            accepted = [value for value in old_values if _fits(value, old)]
            yield from _enumerated(accepted, new, path)
            return
        if new_values is not None:
            yield Break(path, f"accepts only {_listed(new_values)} now")
            return
        yield from _bounds(old, new, path)
        if "items" in new:
            yield from self.compare(old.get("items", {}), new["items"], f"{path}[]")
        if new.get("type") == "object":
            yield from self._object(old, new, path)

    def _object(self, old: Schema, new: Schema, path: str) -> Iterator[Break]:
        for name in new.get("required", ()):
            if name not in old.get("required", ()):
                yield Break(f"{path}.{name}", "the field is required now and was not")
        olds, news = old.get("properties", {}), new.get("properties", {})
        for name, schema in olds.items():
            target = news[name] if name in news else _rest(new)
            if target is False:
                yield Break(f"{path}.{name}", "the field was removed")
            else:
                yield from self.compare(schema, target, f"{path}.{name}")
        if _rest(old) is False:
            return
        # A map: its values, the rule for its keys, and fields that now have a rule of their own.
        for name in news.keys() - olds.keys():
            yield from self.compare(_rest(old), news[name], f"{path}.{name}")
        if _rest(new) is False:
            yield Break(f"{path}.*", "other fields were accepted and no longer are")
            return
        yield from self.compare(_rest(old), _rest(new), f"{path}.*")
        yield from self.compare(_keys(old), _keys(new), f"{path}.(key)")


def _reference(schema: Any) -> str:
    return str(schema.get("$ref", "")) if isinstance(schema, dict) else ""


def _identity(schema: Any) -> str:
    """What a schema that refers to another is told apart by; empty for any other."""
    return json.dumps(_constraints(schema), sort_keys=True) if _reference(schema) else ""


def _resolved(schema: Any, definitions: Schema) -> Schema:
    """The schema with its reference followed; what stands beside the reference wins."""
    if schema is True:
        return {}
    if schema is False:
        return {"not": {}}
    resolved: Schema = dict(schema)
    while "$ref" in resolved:
        name = resolved.pop("$ref").removeprefix("#/$defs/")
        resolved = definitions[name] | resolved
    return resolved


def _constraints(schema: Schema) -> Schema:
    return {
        word: value
        for word, value in schema.items()
        if word not in _ANNOTATIONS and not word.startswith("x-")
    }


def _branches(schema: Schema) -> list[Schema]:
    """The alternatives of a schema, nested unions flattened; itself where it has none.

    What stands beside a union goes with each branch as a keyword that cannot be compared.
    """
    for word in ("anyOf", "oneOf"):
        if word in schema:
            beside = {name: rule for name, rule in _constraints(schema).items() if name != word}
            both = {"allOf": [beside]} if beside else {}
            return [leaf for branch in schema[word] for leaf in _branches(branch | both)]
    if isinstance(schema.get("type"), list):
        return [schema | {"type": name} for name in schema["type"]]
    return [schema]


def _label(schema: Schema, definitions: Schema) -> str:
    """What a person would call the schema: its model's name, or its type."""
    reference = _reference(schema).removeprefix("#/$defs/")
    if reference:
        return str(definitions.get(reference, {}).get("title", reference))
    if "type" not in schema and "const" in schema:
        return repr(schema["const"])
    return str(schema.get("title") or schema.get("type", "any value"))


def _values(schema: Schema) -> list[Any] | None:
    if "const" in schema:
        return [schema["const"]]
    return schema.get("enum")


def _listed(values: Sequence[Any]) -> str:
    return ", ".join(json.dumps(value) for value in values)


def _default(old: Schema, new: Schema, path: str) -> Iterator[Break]:
    if "default" in old and not _covers(old["default"], new.get("default", _MISSING)):
        now = json.dumps(new["default"]) if "default" in new else "nothing"
        yield Break(path, f"the default changed from {json.dumps(old['default'])} to {now}")


def _covers(old: Any, new: Any) -> bool:
    """Equal, or an object that only gained fields: those of a new optional field of a part."""
    if isinstance(old, dict) and isinstance(new, dict):
        return all(name in new and _covers(value, new[name]) for name, value in old.items())
    return type(old) is type(new) and bool(old == new)


def _unknown(old: Schema, new: Schema, path: str) -> Iterator[Break]:
    for word, value in _constraints(new).items():
        if word not in _KNOWN and old.get(word) != value:
            yield Break(path, f"the keyword {word!r} appeared or changed and cannot be compared")


def _enumerated(values: Sequence[Any], new: Schema, path: str) -> Iterator[Break]:
    allowed = _values(new)
    gone = [v for v in values if (allowed is not None and v not in allowed) or not _fits(v, new)]
    if gone:
        yield Break(path, f"no longer accepts {_listed(gone)}")


def _fits(value: Any, schema: Schema) -> bool:
    """Whether one value of an enumeration obeys the bounds of a schema."""
    only: Schema = {"minimum": value, "maximum": value}
    if isinstance(value, str):
        if "pattern" in schema and re.search(schema["pattern"], value) is None:
            return False
        only = {"minLength": len(value), "maxLength": len(value), "pattern": schema.get("pattern")}
        only["format"] = schema.get("format")
    return not any(_bounds(only, schema, ""))


def _bounds(old: Schema, new: Schema, path: str) -> Iterator[Break]:
    """Numbers, sizes, pattern and format: the new one must be as wide or absent."""
    for low, sign in (("min", 1), ("max", -1)):
        for old_bound, new_bound, word in (
            (_limit(old, low, sign), _limit(new, low, sign), f"{low}imum"),
            *((_size(old, low, s), _size(new, low, s), f"{low}{s}") for s in _SIZES),
        ):
            if new_bound is None:
                continue
            if old_bound is None:
                yield Break(path, f"{word} {new_bound[0]:g} is new")
            elif (sign * new_bound[0], new_bound[1]) > (sign * old_bound[0], old_bound[1]):
                narrowed = f"from {old_bound[0]:g} to {new_bound[0]:g}"
                if new_bound[0] == old_bound[0]:
                    narrowed = f"to exclude {new_bound[0]:g}"
                yield Break(path, f"{word} was narrowed {narrowed}")
    for word in ("pattern", "format"):
        if word in new and new[word] != old.get(word):
            yield Break(path, f"{word} changed from {old.get(word)!r} to {new[word]!r}")


def _limit(schema: Schema, low: str, sign: int) -> tuple[float, bool] | None:
    """The tighter of the inclusive and the exclusive bound, and whether it is exclusive."""
    found = [
        (schema[word], exclusive)
        for word, exclusive in ((f"{low}imum", False), (f"exclusive{low.title()}imum", True))
        if word in schema
    ]
    return max(found, key=lambda bound: (sign * bound[0], bound[1]), default=None)


def _size(schema: Schema, low: str, size: str) -> tuple[int, bool] | None:
    value = schema.get(f"{low}{size}")
    return None if value is None or (low == "min" and value == 0) else (value, False)


def _rest(schema: Schema) -> Any:
    """The schema of the values whose keys have no rule of their own; False where none may be."""
    patterns = schema.get("patternProperties", {})
    if len(patterns) == 1:
        return next(iter(patterns.values()))
    return (
        {"anyOf": list(patterns.values())} if patterns else schema.get("additionalProperties", True)
    )


def _keys(schema: Schema) -> Schema:
    """The rule for the keys of a map; pydantic writes a key's pattern as a `patternProperties`."""
    keys: Schema = schema.get("propertyNames", {})
    if not keys.keys() & {"$ref", "anyOf", "oneOf"}:
        keys = {"type": "string"} | keys
    patterns = schema.get("patternProperties", {})
    return keys | ({"pattern": "|".join(sorted(patterns))} if patterns else {})
