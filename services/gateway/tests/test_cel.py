"""CEL as the rules see it: JSON in, JSON out, three ways to fail, and no way to hang or crash."""

import subprocess
import sys
import time
from typing import Any

import pytest

from penstock_gateway.adapters.cel import EXPRESSION_LENGTH_MAX, compile_cel
from penstock_gateway.errors import ExpressionError, InvalidExpression, MissingValue

SLOWEST_SECONDS = 2.0
"""Wide of what is measured (below 0.8 s), for machines that are slow and shared."""

VARIABLES = {
    "event": {"name": "flights", "n": 5, "rate": 0.5, "none": None, "months": [4, 5], "map": {}},
    "meta": {"time": "2026-01-01T00:00:00Z", "sequence": 7},
    "number": 3,
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("event.name == 'flights'", True),
        ("'flights-' + string(number)", "flights-3"),
        ("event.n * 2", 10),
        ("event.rate", 0.5),
        ("event.none", None),
        ("event.months.exists(m, m > 4)", True),
        ("has(event.missing) && event.missing == 1", False),
        ("{'b': 1, 'a': [event.n]}", {"a": [5], "b": 1}),
        ("timestamp(meta.time)", "2026-01-01T00:00:00Z"),
        ("duration('90s')", 90.0),
        ("b'abc'", "YWJj"),
    ],
)
def test_values_are_json(text: str, value: Any) -> None:
    assert compile_cel(text).evaluate(VARIABLES) == value


def test_maps_come_in_the_order_of_their_keys_every_time() -> None:
    text = "{" + ", ".join(f"'k{n}': {n}" for n in range(20)) + "}"
    expected = sorted(f"k{n}" for n in range(20))
    assert all(list(compile_cel(text).evaluate(VARIABLES)) == expected for _ in range(20))


@pytest.mark.parametrize("text", ["", "   ", "1 +", "event.", "(" * 4000, "x" * 8193])
def test_what_cannot_be_read_is_invalid(text: str) -> None:
    with pytest.raises(InvalidExpression):
        compile_cel(text)


@pytest.mark.parametrize("text", ["events.name == 'x'", "now()", "unknown(1)"])
def test_a_name_that_can_never_be_is_invalid(text: str) -> None:
    with pytest.raises(InvalidExpression, match="no variable or function"):
        compile_cel(text).evaluate(VARIABLES)


@pytest.mark.parametrize("text", ["event.missing", "event.map.x == 1", "event.months[7]"])
def test_a_field_that_this_event_lacks_is_missing(text: str) -> None:
    with pytest.raises(MissingValue):
        compile_cel(text).evaluate(VARIABLES)


@pytest.mark.parametrize(
    "text", ["1 / 0", "event.name > 3", "9223372036854775807 + 1", "1.0 / 0.0", "{1: 2}"]
)
def test_everything_else_fails_by_name(text: str) -> None:
    with pytest.raises(ExpressionError) as failure:
        compile_cel(text).evaluate(VARIABLES)
    assert not isinstance(failure.value, InvalidExpression | MissingValue)


@pytest.mark.parametrize("piece", ["!", "-", "1+", "true&&"])
def test_long_expressions_do_not_overflow_the_stack(piece: str) -> None:
    end = "1" if piece in ("-", "1+") else "true"
    text = piece * ((EXPRESSION_LENGTH_MAX - 8) // len(piece)) + end
    try:
        assert compile_cel(text).evaluate(VARIABLES) is not None
    except ExpressionError as error:
        if "steps" not in str(error):
            raise


def test_regular_expressions_take_linear_time() -> None:
    variables = {**VARIABLES, "event": {"name": "a" * 50_000}}
    assert compile_cel("event.name.matches('(a+)+$') ").evaluate(variables) is True
    assert compile_cel("event.name.matches('(a+)+b$')").evaluate(variables) is False


def test_the_language_is_loaded_without_its_command_line() -> None:
    code = (
        "import sys; from penstock_gateway.adapters.cel import compile_cel; "
        "assert 'cel.cel' not in sys.modules; "
        "assert compile_cel('1 + 1').evaluate({}) == 2; "
        "assert 'typer' not in sys.modules and 'cel' not in sys.modules; "
        "import cel; assert cel.evaluate('2 + 2') == 4"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize(
    "text",
    [
        "event.a.all(x, event.a.all(y, event.a.all(z, x + y > z)))",
        "['x']" + ".map(x, x + x)" * 3,
        "event.a.exists(x, x > 1)" + " || event.a.exists(x, x > 1)" * 8,
        "event.s.matches(event.s)",
        "event.s.matches('a' + event.s)",
        "matches(event.s, event.s)",
        "event.s.matches('(a?){1000}')",
        "event.s.matches('((a{9}){9}){9}')",
        "event.s.matches('" + "a" * 300 + "')",
    ],
)
def test_what_could_cost_anything_is_invalid(text: str) -> None:
    with pytest.raises(InvalidExpression):
        compile_cel(text)


@pytest.mark.parametrize(
    "text",
    [
        "event.a.all(x, event.a.all(y, x + y >= 0))",
        "event.a.all(x, event.a.exists(y, y in event.a))",
        "event.a.map(x, event.a)",
        "event.a.map(x, event)",
        "event.a.map(x, event.a).map(y, y)",
        "event.a.map(x, [x, x, x, x]).map(x, [x, x, x, x])",
        "event.a.filter(x, true).map(x, string(x) + event.s)",
        "event.a.exists(x, (event.a + event.a + event.a).size() < 0)",
        "event.a" + " + event.a" * 300,
        "event.s" + " + event.s" * 300,
        "event.a.all(x, event.s.matches('(a+)+b{2}') || true)",
        "event.a.all(x, event.a.all(y, event.s.matches('^x{99}(a|b|c)*$') || true))",
        "[" + "event, " * 100 + "event]",
        "event.a.map(x, " + "{'k': " * 20 + "x" + "}" * 20 + ")",
    ],
)
def test_no_expression_holds_the_others_up_for_long(text: str) -> None:
    """The longest that each may take: over data as large as it may just be."""
    expression = compile_cel(text)
    slowest, low, high = 0.0, 1, 4096
    while low < high - 1:
        size = (low + high) // 2
        variables = {"event": {"a": list(range(size)), "s": "a" * (10 * size)}}
        begun = time.process_time()
        try:
            expression.evaluate(variables)
        except ExpressionError as error:
            if "steps" not in str(error):
                raise
            high = size
        else:
            slowest = max(slowest, time.process_time() - begun)
            low = size
    assert slowest < SLOWEST_SECONDS


def test_usual_conditions_are_far_from_the_bound() -> None:
    trials = [{"trial": f"t-{n}", "value": n / 100, "tags": ["a", "b"]} for n in range(100)]
    variables = {"event": {"trials": trials, "name": "flights"}, "number": 1}
    for text, value in (
        ("event.trials.exists(t, t.value > 0.9)", True),
        ("event.trials.filter(t, t.value > 0.95).size()", 4),
        ("event.trials.all(t, t.tags.exists(g, g == 'b'))", True),
        ("event.name.matches('^fl.*s$') && event.trials.size() == 100", True),
        ("'exp-' + event.name + '-' + string(number) + '-' + string(event.trials.size())", None),
    ):
        found = compile_cel(text).evaluate(variables)
        assert value is None or found == value
