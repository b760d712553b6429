"""The profile of a dataset version: what each column holds, in numbers small enough for an event.

Pure data. A profile is a function of the files and of the profiler's version alone: profiling the
same files again gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from penstock_datasets.domain.manifest import TableSchema

Value = str | int | float | bool | None
"""A value in plain JSON: times are ISO 8601 (with `+00:00` where the column has a zone)."""


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """Counts of finite values: bin i is [edges[i], edges[i+1]), the last one closed."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class TopValue:
    """One of the commonest values and its number of rows; a long text is cut short."""

    value: Value
    count: int


@dataclass(frozen=True, kw_only=True)
class Quantile:
    """The value below which the share `at` (0 to 1) of the values lies."""

    at: float
    value: Value


@dataclass(frozen=True, kw_only=True)
class ColumnProfile:
    """One column. `type` is Arrow's. What does not apply to the type is `None` or empty.

    `nulls` counts nulls, `non_finite` NaN and infinities, which no other figure takes in.
    `distinct` is approximate (HyperLogLog, a few per cent), never above the number of values.
    Numbers have mean, quantiles and histogram; times have quantiles; text, booleans and whole
    numbers of few values have `top`, commonest first.
    """

    name: str
    type: str
    nulls: int
    non_finite: int = 0
    distinct: int | None = None
    min: Value = None
    max: Value = None
    mean: float | None = None
    quantiles: tuple[Quantile, ...] = ()
    histogram: Histogram | None = None
    top: tuple[TopValue, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TableProfile:
    """One table: its files, rows and columns."""

    name: str
    files: int
    rows: int
    columns: tuple[ColumnProfile, ...]


@dataclass(frozen=True, kw_only=True)
class Profile:
    """All tables of a dataset version; `profiler` names the version of the profiler."""

    profiler: str
    tables: tuple[TableProfile, ...]

    @property
    def rows(self) -> int:
        """The rows of all tables together."""
        return sum(table.rows for table in self.tables)

    def to_json(self) -> dict[str, Any]:
        """Return the profile as plain JSON."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self), allow_nan=False))
        return plain

    def to_bytes(self) -> bytes:
        """Return the one JSON text of this profile."""
        return json.dumps(self.to_json(), sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Profile:
        """Read what `to_json` wrote."""
        tables = tuple(
            TableProfile(**table | {"columns": tuple(_column(c) for c in table["columns"])})
            for table in data["tables"]
        )
        return cls(profiler=data["profiler"], tables=tables)

    def schemas(self) -> tuple[TableSchema, ...]:
        """Return each table's schema, as the manifest takes it."""
        return tuple(
            TableSchema(name=table.name, columns=tuple((c.name, c.type) for c in table.columns))
            for table in self.tables
        )


def _column(data: Mapping[str, Any]) -> ColumnProfile:
    values = dict(data)
    values["quantiles"] = tuple(Quantile(**item) for item in data["quantiles"])
    values["top"] = tuple(TopValue(**item) for item in data["top"])
    if histogram := data["histogram"]:
        values["histogram"] = Histogram(
            edges=tuple(histogram["edges"]), counts=tuple(histogram["counts"])
        )
    return ColumnProfile(**values)
