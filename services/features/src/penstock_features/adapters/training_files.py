"""The files of a run: the entity table in, training and holdout out.

Guarantees: rows keep their order; the bytes written depend on the rows, the schema and the version
of pyarrow alone (no clock, no library's own metadata), so that equal data has one digest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from penstock_features.domain.materialization import (
    Column,
    MaterializeRequest,
    Role,
    holdout_after,
)
from penstock_features.errors import InvalidRequestError

ROW_GROUP_ROWS = 131_072
UTC_MICROSECONDS = pa.timestamp("us", tz="UTC")
TRAINING_NAME = "training.parquet"
HOLDOUT_NAME = "holdout.parquet"


@dataclass(frozen=True, kw_only=True)
class Split:
    """What was written, and where the cut was."""

    training: Path
    training_rows: int
    holdout: Path
    holdout_rows: int
    after: datetime
    newest: datetime


def read_entity_table(request: MaterializeRequest) -> pa.Table:
    """Read the entity table, its timestamps as UTC in microseconds (a naive one is taken as UTC).

    Raises `InvalidRequestError` naming the column and the fix where the table cannot be a spine.
    """
    name, at = request.entity_table, request.timestamp_column
    table = _read(name, request.tables[name])
    missing = [c for c in (at, *request.label_columns) if c not in table.column_names]
    if missing:
        raise InvalidRequestError(
            f"table {name!r} has no column {missing[0]!r} (columns: {_listed(table.column_names)})"
        )
    if not pa.types.is_timestamp(table.schema.field(at).type):
        raise InvalidRequestError(
            f"timestamp_column: {name}.{at} is {table.schema.field(at).type}, not a timestamp; "
            "write it as a timestamp with time zone UTC"
        )
    if table.num_rows == 0:
        raise InvalidRequestError(f"table {name!r} has no rows")
    if table[at].null_count:
        raise InvalidRequestError(
            f"timestamp_column: {name}.{at} is null in {table[at].null_count} of "
            f"{table.num_rows} rows; give each row the time at which its prediction is made"
        )
    index = table.schema.get_field_index(at)
    table = table.set_column(index, at, pc.cast(table[at], UTC_MICROSECONDS, safe=False))
    _cut(table, request)  # refused now rather than after the join
    return table


def label_warnings(table: pa.Table, request: MaterializeRequest) -> list[str]:
    """Say which labels are missing: such rows pass through, the training script must drop them."""
    return [
        f"label {label!r} is null in {table[label].null_count} of {table.num_rows} rows"
        for label in request.label_columns
        if table[label].null_count
    ]


def write_split(table: pa.Table, request: MaterializeRequest) -> Split:
    """Write both files under `request.output`, and say where the cut is."""
    after, newest = _cut(table, request)
    cut = pa.scalar(after, type=UTC_MICROSECONDS)
    is_held_out = pc.greater(table[request.timestamp_column], cut)
    holdout, training = table.filter(is_held_out), table.filter(pc.invert(is_held_out))
    split = Split(
        training=request.output / TRAINING_NAME,
        training_rows=training.num_rows,
        holdout=request.output / HOLDOUT_NAME,
        holdout_rows=holdout.num_rows,
        after=after,
        newest=newest,
    )
    write_parquet(training, split.training)
    write_parquet(holdout, split.holdout)
    return split


def write_parquet(table: pa.Table, path: Path) -> None:
    """Write one file with every setting that touches its bytes fixed."""
    pq.write_table(
        table.replace_schema_metadata(None).combine_chunks(),
        path,
        compression="zstd",
        compression_level=1,
        version="2.6",
        row_group_size=ROW_GROUP_ROWS,
    )


def ordered(table: pa.Table, request: MaterializeRequest) -> pa.Table:
    """Put the labels last; everything else keeps its place."""
    inputs = [name for name in table.column_names if name not in request.label_columns]
    return table.select([*inputs, *request.label_columns])


def describe_columns(
    schema: pa.Schema, request: MaterializeRequest, keys: Sequence[str], features: Sequence[str]
) -> tuple[Column, ...]:
    """Say each column's type and part."""

    def role(name: str) -> Role:
        if name == request.timestamp_column:
            return "timestamp"
        if name in request.label_columns:
            return "label"
        if name in features:
            return "feature"
        return "key" if name in keys else "entity"

    return tuple(
        Column(name=field.name, type=str(field.type), role=role(field.name)) for field in schema
    )


def _cut(table: pa.Table, request: MaterializeRequest) -> tuple[datetime, datetime]:
    """Return the instant after which rows are held out, and that of the newest row."""
    extremes = pc.min_max(table[request.timestamp_column])
    newest, oldest = extremes["max"].as_py(), extremes["min"].as_py()
    return holdout_after(newest, oldest, request.holdout_days), newest


def _read(name: str, files: Sequence[Path]) -> pa.Table:
    tables = []
    for path in files:
        try:
            tables.append(pq.read_table(path).replace_schema_metadata(None))
        except (OSError, pa.ArrowInvalid) as error:
            raise InvalidRequestError(
                f"table {name!r}: {path.name} cannot be read as Parquet: {error}"
            ) from error
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise InvalidRequestError(
            f"table {name!r}: its files do not have the same columns and types: {error}"
        ) from error


def _listed(names: Sequence[str], most: int = 20) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
