"""What scripts report: everything valid is kept, everything else is refused by its field."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_trainer.errors import InvalidReport
from penstock_trainer.reports import (
    MAX_LINE_BYTES,
    MAX_RESULT_BYTES,
    parse_metric_line,
    parse_result,
    read_metrics,
)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b"not json", "the line is not JSON"),
        (b"\xff\xfe\xfd", "the line is not JSON"),
        (b"[1]", "the line is list: write one JSON object"),
        (b"[" * 50_000, "the line is not JSON"),
        (b'{"step": 1, "metrics": {}}', "time is None"),
        (b'{"time": true, "metrics": {}}', "time is True"),
        (b'{"time": 1e999, "metrics": {}}', "time is inf"),
        (b'{"time": 1, "step": 1.5, "metrics": {}}', "step is 1.5"),
        (b'{"time": 1, "step": 1}', "metrics is None"),
        (b'{"time": 1, "metrics": {"a": "0.5"}}', "metrics.a is '0.5'"),
        (b'{"time": 1, "metrics": {"a": false}}', "metrics.a is False"),
        (b'{"time": 1, "metrics": {"a": -Infinity}}', "metrics.a is -inf"),
        (b'{"time": 1, "metrics": {"a": 1' + b"0" * 400 + b"}}", "metrics.a is 1"),
        (b" " * (MAX_LINE_BYTES + 1), "more than 65536 bytes"),
    ],
)
def test_a_bad_line_is_refused_with_the_field(line, complaint):
    with pytest.raises(InvalidReport) as refusal:
        parse_metric_line(line)
    assert complaint in str(refusal.value)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "the result is not JSON"),
        (b"3", "the result is int"),
        (b'{"a": [1, {"b": NaN}]}', "a[1].b is nan"),
        (b'{"metrics": [1]}', "metrics is [1]"),
        (b'{"metrics": {"auc": null}}', "metrics.auc is None"),
        (b" " * (MAX_RESULT_BYTES + 1), "write large things to the output directory"),
    ],
)
def test_a_bad_result_is_refused_with_the_field(content, complaint):
    with pytest.raises(InvalidReport) as refusal:
        parse_result(content)
    assert complaint in str(refusal.value)


def test_a_result_may_hold_anything_finite():
    result = {"metrics": {"auc": 1}, "note": None, "tags": ["a", 2.5], "deep": {"x": True}}
    assert parse_result(json.dumps(result).encode()) == result


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False)), st.data())
def test_reading_in_pieces_gives_the_same_lines_as_reading_at_once(values, data):
    content = b"".join(
        json.dumps({"time": 1.0, "step": step, "metrics": {"v": value}}).encode() + b"\n"
        for step, value in enumerate(values)
    )
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=8)))
    seen, offset = [], 0
    for end in [*cuts, len(content)]:
        page = read_metrics(content[offset:end] if offset < end else b"", offset)
        seen.extend(page.lines)
        offset = page.next_offset
        assert page.refused == ()
    assert [line.metrics["v"] for line in seen] == values
    assert offset == len(content)


def test_a_line_without_end_is_passed_over_once_it_is_too_long():
    waiting = read_metrics(b"x" * MAX_LINE_BYTES, 10)
    assert waiting == ((), 10, ())
    passed = read_metrics(b"x" * (MAX_LINE_BYTES + 1), 10)
    assert passed.next_offset == 10 + MAX_LINE_BYTES + 1
    assert "in one line" in passed.refused[0]


def test_blank_lines_are_no_reports_and_no_errors():
    assert read_metrics(b"\n  \n\n", 0) == ((), 5, ())


@given(st.binary(max_size=200))
def test_no_bytes_whatever_break_the_reader(content):
    page = read_metrics(content + b"\n", 0)
    assert page.next_offset == len(content) + 1
    assert all(math.isfinite(number) for line in page.lines for number in line.metrics.values())
