"""`lost` against an independent validator: where it finds nothing, nothing is lost."""

import copy
from itertools import combinations
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock_schemas.acceptance import lost

Schema = dict[str, Any]
NUMBERS = st.integers(0, 3)
WORDS = st.sampled_from(["", "a", "ab", "b"])
KEYS = st.sampled_from(["a", "b", "ab"])


def any_of_these(**rules: st.SearchStrategy[Any]) -> st.SearchStrategy[Schema]:
    return st.fixed_dictionaries({}, optional=rules)


INTEGERS = any_of_these(
    minimum=NUMBERS, exclusiveMinimum=NUMBERS, maximum=NUMBERS, exclusiveMaximum=NUMBERS
).map(lambda rules: {"type": "integer", **rules})
TEXTS = any_of_these(
    minLength=NUMBERS,
    maxLength=NUMBERS,
    pattern=st.sampled_from(["^a", "b$"]),
    enum=st.lists(WORDS, min_size=1, max_size=3, unique=True),
).map(lambda rules: {"type": "string", **rules})
LEAVES = (
    INTEGERS | TEXTS | st.sampled_from([{}, {"type": "null"}, {"const": "a"}, {"type": "number"}])
)


def nested(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    lists = any_of_these(minItems=NUMBERS, maxItems=NUMBERS).flatmap(
        lambda rules: inner.map(lambda items: {"type": "array", "items": items, **rules})
    )
    records = st.builds(
        lambda properties, required, rest: {
            "type": "object",
            "properties": properties,
            "required": [name for name in required if name in properties],
            "additionalProperties": rest,
        },
        st.dictionaries(KEYS, inner, max_size=2),
        st.lists(KEYS, max_size=2, unique=True),
        st.sampled_from([False, False, True]) | inner,
    )
    maps = st.builds(
        lambda value, keys, sizes: {
            "type": "object",
            "additionalProperties": value,
            "propertyNames": keys,
            **sizes,
        },
        inner,
        any_of_these(maxLength=NUMBERS, pattern=st.just("^a")),
        any_of_these(minProperties=NUMBERS, maxProperties=NUMBERS),
    )
    patterned = inner.map(
        lambda value: {
            "type": "object",
            "patternProperties": {"^a": value},
            "additionalProperties": False,
        }
    )
    unions = st.lists(inner, min_size=1, max_size=3).map(lambda branches: {"anyOf": branches})
    return lists | records | maps | patterned | unions


SCHEMAS = st.recursive(LEAVES, nested, max_leaves=5)
NAMES = ["a", "b", "ab"]
ANYTHING = [None, 0, 0.5, "a", "", [], [0], {}, {"a": 0}]


def candidates(schema: Schema) -> list[Any]:
    """Values at and around every bound that the small schemas here can have."""
    kind = schema.get("type")
    if "anyOf" in schema:
        return [value for branch in schema["anyOf"] for value in candidates(branch)]
    if kind in ("integer", "number"):
        return [*range(5), 0.5]
    if kind == "string":
        return ["", "a", "b", "ab", "aa", "bb", "aab", "abab"]
    if kind == "array":
        inner = candidates(schema["items"])
        return [(inner * 4)[at : at + size] for size in range(5) for at in range(len(inner))][:40]
    if kind == "object":
        return [value for names in subsets(NAMES) for value in objects(schema, names)]
    return [schema["const"]] if "const" in schema else ANYTHING


def objects(schema: Schema, names: tuple[str, ...]) -> list[Any]:
    """Objects with these fields, each taking its candidates in turn."""
    rest = schema["additionalProperties"] or next(
        iter(schema.get("patternProperties", {}).values()), {}
    )
    rules = [schema.get("properties", {}).get(name, rest) for name in names]
    values = [candidates({} if rule is True else rule) for rule in rules]
    rounds = min(max(map(len, values), default=1), 12)
    return [
        {name: some[turn % len(some)] for name, some in zip(names, values, strict=True)}
        for turn in range(rounds)
    ]


def subsets(names: list[str]) -> list[tuple[str, ...]]:
    return [each for size in range(4) for each in combinations(names, size)]


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Schema, Schema]:
    """A schema and another in which a few places were replaced, bounds moved, keywords dropped."""
    old = copy.deepcopy(draw(SCHEMAS))  # strategies hand out the same objects again
    new = {"root": copy.deepcopy(old)}
    for _ in range(draw(st.integers(0, 3))):
        places = list(visit(new))
        node, word = places[draw(st.integers(0, len(places) - 1))]
        if isinstance(node[word], dict) and word not in ("properties", "patternProperties"):
            wider = st.just({"anyOf": [node[word], {"type": "null"}]})
            node[word] = copy.deepcopy(draw(SCHEMAS | wider | st.just({})))
        elif word in ("enum", "required", "anyOf"):
            if len(node[word]) > 1 or (word == "required" and node[word]):
                node[word].pop(draw(st.integers(0, len(node[word]) - 1)))
            elif word == "required":
                node[word].append(draw(KEYS))
        elif type(node[word]) is int:
            node[word] = draw(NUMBERS)
        elif isinstance(node[word], bool):
            node[word] = not node[word]
        elif word not in ("type", 0, 1, 2):
            del node[word]
    return old, new["root"]


def visit(node: Any) -> Any:
    inner = node.items() if isinstance(node, dict) else enumerate(node)
    for word, value in list(inner):
        yield node, word
        if isinstance(value, dict | list):
            yield from visit(value)


@given(pairs())
@settings(max_examples=500, deadline=None)
def test_where_nothing_is_lost_whatever_was_valid_stays_valid(pair: tuple[Schema, Schema]) -> None:
    old, new = pair
    if old != new and not lost(old, new):
        assert refused(old, new) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"type": "integer", "minimum": 1}, {"type": "integer", "minimum": 2}),
        ({"type": "array", "items": {}}, {"type": "array", "items": {}, "maxItems": 3}),
        ({"anyOf": [{"const": "a"}, {"const": 0}]}, {"const": 0}),
    ],
)
def test_the_validator_finds_a_value_that_is_lost(old: Schema, new: Schema) -> None:
    assert refused(old, new) != []
    assert lost(old, new) != []


def refused(old: Schema, new: Schema) -> list[Any]:
    """Candidates that the validator accepts by `old` and refuses by `new`."""
    before, after = (jsonschema.Draft202012Validator(schema) for schema in (old, new))
    return [v for v in candidates(old) if before.is_valid(v) and not after.is_valid(v)]


@given(SCHEMAS)
@settings(deadline=None)
def test_a_schema_loses_nothing_to_itself_or_to_a_schema_that_takes_anything(
    schema: Schema,
) -> None:
    assert lost(schema, copy.deepcopy(schema)) == []
    assert lost(schema, {}) == []
