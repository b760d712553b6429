"""An expression is handed what it names, and gives what it would give of the whole."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_gateway.adapters.cel import compile_cel
from penstock_gateway.domain.expression_reach import reach_of, within

VARIABLES: dict[str, Any] = {
    "event": {
        "a": {"b": 1, "c": [1, 2], "d": {"e": "x"}},
        "b": "text",
        "n": None,
        "list": [{"b": 1}],
    },
    "meta": {"sequence": 7, "type": "job.queued"},
    "number": 3,
    "row": {},
}


@pytest.mark.parametrize(
    ("text", "reach"),
    [
        ("event.a.b == 1", {"event": {"a": {"b": None}}}),
        (
            "event.a.b == 1 && event.a.c[0] == meta.sequence",
            {"event": {"a": {"b": None, "c": None}}, "meta": {"sequence": None}},
        ),
        ("event.a.b == 1 && size(event.a) > 0", {"size": None, "event": {"a": None}}),
        ("event.a == {} && event.a.b == 1", {"event": {"a": None}}),
        ("event['a'].b == 1", {"event": None}),
        ("event == {} || event.a.b == 1", {"event": None}),
        ("event.b.startsWith('event.n')", {"event": {"b": None}}),
        ("has(event.a.b)", {"has": None, "event": {"a": {"b": None}}}),
        (".event.a.b == 1", {"event": {"a": {"b": None}}}),
        ("1 in .event.a.c", {"event": {"a": {"c": None}}}),
        ("event . a // event.n\n . b == 1", {"event": {"a": {"b": None}}}),
        ("r'event.n' == event.b", {"event": {"b": None}}),
        ("event.?a.b", {"event": None, "a": {"b": None}}),
        ("true", {"true": None}),
    ],
)
def test_what_an_expression_reads_is_found_in_its_text(text: str, reach: Any) -> None:
    assert reach_of(text) == reach


PATHS = [
    "event",
    "meta",
    "number",
    "event.a",
    "event.a.b",
    "event.a.c",
    "event.a.d.e",
    "event.b",
    "event.n",
    "event.none",
    "event.list",
    "event['a']",
    "event.a['d']",
    "meta.sequence",
    "event.list[0].b",
    "event.b.size()",
    ".event.a.b",
]
SHAPES = [
    "{} == {}",
    "has(event.a.b) && {} == {}",
    "[{}, {}]",
    "{}",
    "string({}) == {}",
    "[1, 2].exists(x, x == {}) || {} == 1",
    "event.list.map(event, event.b) == {} || {} == 2",
    "size({}) == {}",
    "1 in {} || {} == 3",
    "type({}) == type({})",
]


@given(shape=st.sampled_from(SHAPES), one=st.sampled_from(PATHS), other=st.sampled_from(PATHS))
def test_the_parts_give_what_the_whole_gives(shape: str, one: str, other: str) -> None:
    text = shape.replace("{}", one, 1).replace("{}", other, 1)
    expression = compile_cel(text)

    def outcome(variables: Any) -> Any:
        try:
            return expression._program.execute(dict(variables))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the same
            return f"{type(error)} {error}"

    assert outcome(within(VARIABLES, expression.reach)) == outcome(VARIABLES)
