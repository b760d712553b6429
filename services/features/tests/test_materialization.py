"""The pure rules: what a request refuses, and where the holdout begins."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_features.domain.materialization import (
    MAX_HOLDOUT_DAYS,
    MaterializeRequest,
    holdout_after,
)
from penstock_features.errors import InvalidRequestError

REQUEST = MaterializeRequest(
    repository=Path("repository"),
    tables={"flights": [Path("a.parquet"), Path("b.parquet")], "weather": [Path("w.parquet")]},
    feature_service="service",
    entity_table="flights",
    label_columns=("late",),
    holdout_days=14,
    output=Path("out"),
)
DAY = datetime(2013, 3, 31, tzinfo=UTC)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"entity_table": "flight"}, "entity_table: .*'flight'.*flights, weather"),
        ({"tables": {"flights": []}}, "tables: table 'flights' has no files"),
        ({"tables": {"flights": [Path("a")], "../x": [Path("b")]}}, "tables: '../x'"),
        ({"tables": {"flights": [Path("a")], "a/b": [Path("b")]}}, "tables: 'a/b'"),
        ({"tables": {"flights": [Path("a")], "..": [Path("b")]}}, "tables: '..'"),
        ({"tables": {"flights": [Path("a")] * 10_001}}, "tables: more than 10000 files"),
        ({"holdout_days": -1}, "holdout_days: -1"),
        ({"holdout_days": MAX_HOLDOUT_DAYS + 1}, "holdout_days"),
        ({"label_columns": ("late", "late")}, "label_columns: a column is named twice"),
        ({"label_columns": ("event_timestamp",)}, "label_columns: .*timestamp column"),
    ],
)
def test_a_request_that_cannot_succeed_is_refused_by_field(
    change: dict[str, object], complaint: str
) -> None:
    with pytest.raises(InvalidRequestError, match=complaint):
        dataclasses.replace(REQUEST, **change)  # type: ignore[arg-type]


def test_a_request_survives_json_with_absolute_paths() -> None:
    again = MaterializeRequest.from_json(REQUEST.to_json())
    assert again.tables["flights"] == [Path.cwd() / "a.parquet", Path.cwd() / "b.parquet"]
    assert again.to_json() == REQUEST.to_json()


@given(days=st.integers(0, 400), span=st.integers(0, 400))
def test_the_holdout_leaves_a_row_to_train_on_or_is_refused(days: int, span: int) -> None:
    oldest = DAY - timedelta(days=span)
    if days > span:
        with pytest.raises(InvalidRequestError, match="holdout_days"):
            holdout_after(DAY, oldest, days)
    else:
        assert oldest <= holdout_after(DAY, oldest, days) == DAY - timedelta(days=days)
