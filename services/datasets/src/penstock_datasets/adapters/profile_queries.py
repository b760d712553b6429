"""The figures of one table's columns, asked of DuckDB; runs in the profiler's child only.

Everything is exact but `distinct`. DuckDB runs on one thread here: sums in another order would end
in other last digits, and a profile must be a function of the files. Quantiles are of the discrete
kind, so each is a value that occurs.
"""

# ruff: noqa: S608 - column names are quoted, values are bound, the rest is ours.

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa

from penstock_datasets.domain.profile import (
    ColumnProfile,
    Histogram,
    Quantile,
    TopValue,
    Value,
)

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
HISTOGRAM_BINS = 20
TOP_VALUES = 20
MAX_TEXT_CHARACTERS = 200
FEW_WHOLE_NUMBERS = 50
"""A column of whole numbers with at most so many values is also shown as a category."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Connection = duckdb.DuckDBPyConnection


def profile_column(
    connection: Connection, source: str, rows: int, field: pa.Field
) -> ColumnProfile:
    """Profile one column of `source`, a SQL table expression of `rows` rows."""
    for is_kind, profiled in _KINDS:
        if is_kind(field.type):
            return profiled(connection, source, rows, field)
    return ColumnProfile(
        name=field.name, type=str(field.type), nulls=_nulls(connection, source, rows, field.name)
    )


def quoted(name: str) -> str:
    """Quote a column's name for SQL."""
    return '"' + name.replace('"', '""') + '"'


def _number(connection: Connection, source: str, rows: int, field: pa.Field) -> ColumnProfile:
    column, real = quoted(field.name), f"CAST({quoted(field.name)} AS DOUBLE)"
    finite = f"FILTER (WHERE isfinite({real}))"
    low, high, mean, distinct, present, values, quantiles = _one(
        connection,
        f"SELECT min({column}) {finite}, max({column}) {finite}, avg({real}) {finite}, "
        f"approx_count_distinct({column}) {finite}, count({column}), count(*) {finite}, "
        f"quantile_disc({column}, {list(QUANTILES)}) {finite} FROM {source}",
    )
    is_category = pa.types.is_integer(field.type) and distinct <= FEW_WHOLE_NUMBERS
    return ColumnProfile(
        name=field.name,
        type=str(field.type),
        nulls=rows - present,
        non_finite=present - values,
        distinct=min(distinct, values),
        min=_plain_number(low),
        max=_plain_number(high),
        mean=mean if mean is not None and math.isfinite(mean) else None,
        quantiles=_quantiles(quantiles, _plain_number),
        histogram=_histogram(connection, source, real, low, high),
        top=_top(connection, source, column, _plain_number) if is_category else (),
    )


def _histogram(
    connection: Connection, source: str, real: str, low: Any, high: Any
) -> Histogram | None:
    """Equal bins from `low` to `high`, one where they are equal, none where the width overflows."""
    if low is None or not math.isfinite(float(high) - float(low)):
        return None
    bins = HISTOGRAM_BINS if float(high) > float(low) else 1
    width = (float(high) - float(low)) / bins
    edges = [float(low) + width * i for i in range(bins)] + [float(high)]
    counts = [
        f"count(*) FILTER (WHERE {real} >= ? AND {real} {'<=' if i == bins - 1 else '<'} ?)"
        for i in range(bins)
    ]
    bounds = [edge for i in range(bins) for edge in (edges[i], edges[i + 1])]
    row = _one(connection, f"SELECT {', '.join(counts)} FROM {source}", bounds)
    return Histogram(edges=tuple(edges), counts=tuple(row))


def _time(connection: Connection, source: str, rows: int, field: pa.Field) -> ColumnProfile:
    column = quoted(field.name)
    zoned = pa.types.is_timestamp(field.type) and field.type.tz is not None
    micros = f"epoch_us(CAST({column} AS {'TIMESTAMPTZ' if zoned else 'TIMESTAMP'}))"
    low, high, distinct, present, quantiles = _one(
        connection,
        f"SELECT min({micros}), max({micros}), approx_count_distinct({micros}), count({column}), "
        f"quantile_disc({micros}, {list(QUANTILES)}) FROM {source}",
    )

    def iso(value: int | None) -> str | None:
        return _iso(value, zoned=zoned, is_date=pa.types.is_date(field.type))

    return ColumnProfile(
        name=field.name,
        type=str(field.type),
        nulls=rows - present,
        distinct=min(distinct, present),
        min=iso(low),
        max=iso(high),
        quantiles=_quantiles(quantiles, iso),
    )


def _category(connection: Connection, source: str, rows: int, field: pa.Field) -> ColumnProfile:
    column = quoted(field.name)
    low, high, distinct, present = _one(
        connection,
        f"SELECT min({column}), max({column}), approx_count_distinct({column}), count({column}) "
        f"FROM {source}",
    )
    return ColumnProfile(
        name=field.name,
        type=str(field.type),
        nulls=rows - present,
        distinct=min(distinct, present),
        min=_short(low),
        max=_short(high),
        top=_top(connection, source, column, _short),
    )


def _nulls(connection: Connection, source: str, rows: int, name: str) -> int:
    (present,) = _one(connection, f"SELECT count({quoted(name)}) FROM {source}")
    return rows - int(present)


def _top(
    connection: Connection, source: str, column: str, plain: Callable[[Any], Value]
) -> tuple[TopValue, ...]:
    found = connection.execute(
        f"SELECT {column}, count(*) AS n FROM {source} WHERE {column} IS NOT NULL "
        f"GROUP BY 1 ORDER BY n DESC, 1 LIMIT {TOP_VALUES}"
    ).fetchall()
    return tuple(TopValue(value=plain(value), count=count) for value, count in found)


def _quantiles(values: list[Any] | None, plain: Callable[[Any], Value]) -> tuple[Quantile, ...]:
    if values is None:
        return ()
    return tuple(
        Quantile(at=at, value=plain(value)) for at, value in zip(QUANTILES, values, strict=True)
    )


def _plain_number(value: Any) -> Value:
    return value if value is None or isinstance(value, int) else float(value)


def _short(value: Any) -> Value:
    return value[:MAX_TEXT_CHARACTERS] if isinstance(value, str) else value


def _iso(micros: int | None, *, zoned: bool, is_date: bool) -> str | None:
    if micros is None:
        return None
    try:
        time = _EPOCH + timedelta(microseconds=micros)
    except OverflowError:  # years that Python's datetime cannot hold
        return f"{micros} microseconds since 1970-01-01"
    if is_date:
        return time.date().isoformat()
    return time.isoformat() if zoned else time.replace(tzinfo=None).isoformat()


def _one(connection: Connection, query: str, parameters: list[Any] | None = None) -> Any:
    row = connection.execute(query, parameters or []).fetchone()
    assert row is not None, "an aggregate without groups has one row"
    return row


def _is_number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    )


def _is_time(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))


def _is_category(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return bool(is_text or pa.types.is_boolean(kind) or pa.types.is_string_view(kind))


_Profiled = Callable[[Connection, str, int, pa.Field], ColumnProfile]
_KINDS: tuple[tuple[Callable[[pa.DataType], bool], _Profiled], ...] = (
    (_is_number, _number),
    (_is_time, _time),
    (_is_category, _category),
)
