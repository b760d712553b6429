"""`lost` against an independent validator: where it finds nothing, nothing is lost."""

import copy
from typing import Any

import jsonschema
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock_schemas.acceptance import lost

Schema = dict[str, Any]
NUMBERS = st.integers(0, 3)
WORDS = st.sampled_from(["", "a", "ab", "b"])
KEYS = st.sampled_from(["a", "b", "ab"])


def some(**rules: st.SearchStrategy[Any]) -> st.SearchStrategy[Schema]:
    return st.fixed_dictionaries({}, optional=rules)


INTEGERS = some(
    minimum=NUMBERS, exclusiveMinimum=NUMBERS, maximum=NUMBERS, exclusiveMaximum=NUMBERS
).map(lambda rules: {"type": "integer", **rules})
TEXTS = some(
    minLength=NUMBERS,
    maxLength=NUMBERS,
    pattern=st.sampled_from(["^a", "b$"]),
    enum=st.lists(WORDS, min_size=1, max_size=3, unique=True),
).map(lambda rules: {"type": "string", **rules})
LEAVES = (
    INTEGERS | TEXTS | st.sampled_from([{}, {"type": "null"}, {"const": "a"}, {"type": "number"}])
)


def nested(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    lists = some(minItems=NUMBERS, maxItems=NUMBERS).flatmap(
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
        some(maxLength=NUMBERS, pattern=st.just("^a")),
        some(minProperties=NUMBERS, maxProperties=NUMBERS),
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
VALUES = st.recursive(
    st.none() | NUMBERS | st.sampled_from([0.5, 2.0]) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=5,
)


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


@given(pairs(), st.lists(VALUES, max_size=12))
@settings(max_examples=300, deadline=None)
def test_where_nothing_is_lost_whatever_was_valid_stays_valid(
    pair: tuple[Schema, Schema], values: list[Any]
) -> None:
    old, new = pair
    if lost(old, new):
        return
    before, after = (jsonschema.Draft202012Validator(schema) for schema in pair)
    for value in values:
        assert after.is_valid(value) or not before.is_valid(value), (old, new, value)


@given(SCHEMAS)
@settings(deadline=None)
def test_a_schema_loses_nothing_to_itself_or_to_a_schema_that_takes_anything(
    schema: Schema,
) -> None:
    assert lost(schema, copy.deepcopy(schema)) == []
    assert lost(schema, {}) == []
