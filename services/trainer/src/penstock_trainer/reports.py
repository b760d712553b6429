"""What scripts report, read with care: metric lines and the result. Pure functions.

A script is anybody's code: every refusal names the field and the fix, and a bad line never costs
the good ones beside it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final

from penstock_trainer.errors import InvalidReport
from penstock_trainer.ports import MetricLine, MetricsPage

MAX_LINE_BYTES: Final = 64 * 1024
MAX_RESULT_BYTES: Final = 1024 * 1024
MAX_METRICS_PER_LINE: Final = 256


def parse_result(content: bytes) -> dict[str, Any]:
    """Read the object that a script wrote to PENSTOCK_RESULT. Raises InvalidReport."""
    if len(content) > MAX_RESULT_BYTES:
        raise InvalidReport(
            f"the result has {len(content)} bytes, more than {MAX_RESULT_BYTES}: "
            "write large things to the output directory"
        )
    result = _parse_object(content, "the result")
    _refuse_infinite(result, "")
    if "metrics" in result:
        _check_metrics(result["metrics"], "metrics")
    return result


def parse_metric_line(content: bytes) -> MetricLine:
    """Read one line of PENSTOCK_METRICS. Raises InvalidReport."""
    if len(content) > MAX_LINE_BYTES:
        raise InvalidReport(f"the line has more than {MAX_LINE_BYTES} bytes: report fewer metrics")
    raw = _parse_object(content, "the line")
    time, step = raw.get("time"), raw.get("step")
    if not _is_finite_number(time):
        raise InvalidReport(f"time is {time!r}: give unix seconds")
    if step is not None and (isinstance(step, bool) or not isinstance(step, int)):
        raise InvalidReport(f"step is {step!r}: give a whole number, or null")
    metrics = _check_metrics(raw.get("metrics"), "metrics")
    return MetricLine(time=float(time), step=step, metrics=metrics)  # type: ignore[arg-type]


def read_metrics(content: bytes, offset: int) -> MetricsPage:
    """Read the complete lines of `content`, which begins at byte `offset` of the file."""
    lines: list[MetricLine] = []
    refused: list[str] = []
    position = 0
    while (end := content.find(b"\n", position)) >= 0:
        line = content[position:end]
        if line.strip():
            try:
                lines.append(parse_metric_line(line))
            except InvalidReport as error:
                refused.append(f"metrics at byte {offset + position}: {error}")
        position = end + 1
    if position == 0 and len(content) > MAX_LINE_BYTES:
        # No newline in sight: pass over what cannot become a valid line, else this never ends.
        refused.append(f"metrics at byte {offset}: more than {MAX_LINE_BYTES} bytes in one line")
        position = len(content)
    return MetricsPage(tuple(lines), offset + position, tuple(refused))


def _parse_object(content: bytes, what: str) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InvalidReport(f"{what} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise InvalidReport(f"{what} is {type(value).__name__}: write one JSON object")
    return value


def _check_metrics(value: Any, where: str) -> Mapping[str, float]:
    if not isinstance(value, dict):
        raise InvalidReport(f"{where} is {value!r}: give an object of names and numbers")
    if len(value) > MAX_METRICS_PER_LINE:
        raise InvalidReport(f"{where} has {len(value)} names, more than {MAX_METRICS_PER_LINE}")
    for name, number in value.items():
        if not _is_finite_number(number):
            raise InvalidReport(f"{where}.{name} is {number!r}: give a finite number")
    return {name: float(number) for name, number in value.items()}


def _is_finite_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that no float can hold
        return False


def _refuse_infinite(value: Any, where: str) -> None:
    if isinstance(value, dict):
        for name, item in value.items():
            _refuse_infinite(item, f"{where}.{name}" if where else str(name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _refuse_infinite(item, f"{where}[{index}]")
    elif isinstance(value, float) and not math.isfinite(value):
        raise InvalidReport(f"{where} is {value!r}: JSON has no such number, write null")
