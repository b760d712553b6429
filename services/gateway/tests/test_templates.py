"""Templates: expressions inside JSON."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_gateway.adapters.cel import compile_cel
from penstock_gateway.domain.templates import InvalidTemplate, codes, render

VARIABLES = {"event": {"n": 5, "name": "a b", "list": [1]}, "meta": {}, "number": 2}


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("${event.n}", 5),
        ("${ event.list }", [1]),
        ("x-${event.n}", "x-5"),
        ("${event.n}${number}", "52"),
        ("${event.name}!", "a b!"),
        ("${event.list}!", "[1]!"),
        ("${true} ${null}", "true null"),
        ("$${event.n}", "${event.n}"),
        ("$$${event.n}", "$${event.n}"),
        ("costs $5 {a}", "costs $5 {a}"),
        ("${'}' + \"{\"}", "}{"),
        ("${{'a': {'b': 1}}}", {"a": {"b": 1}}),
        ({"k": ["${number}", 7, None]}, {"k": [2, 7, None]}),
        ({"${number}": 1}, {"${number}": 1}),
        ("", ""),
    ],
)
def test_templates_become_values(template: Any, value: Any) -> None:
    assert render(template, "data", VARIABLES, compile_cel) == value


def test_a_fault_names_its_path() -> None:
    with pytest.raises(InvalidTemplate) as failure:
        render({"a": [{"b": "${event.missing}"}]}, "do.data", VARIABLES, compile_cel)
    assert failure.value.path == "do.data.a.0.b"


def test_an_expression_that_is_never_closed_is_a_fault_of_the_template() -> None:
    with pytest.raises(InvalidTemplate, match="never closed"):
        list(codes({"a": "${event.n"}, "do.data"))


def test_templates_are_not_nested_without_end() -> None:
    template: Any = "x"
    for _ in range(100):
        template = [template]
    with pytest.raises(InvalidTemplate, match="deeper"):
        list(codes(template, "do.data"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def escaped(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("${", "$${")
    if isinstance(value, list):
        return [escaped(item) for item in value]
    if isinstance(value, dict):
        return {key: escaped(item) for key, item in value.items()}
    return value


@given(JSON)
def test_what_is_escaped_comes_back_as_it_was(value: Any) -> None:
    assert render(escaped(value), "data", VARIABLES, compile_cel) == value
