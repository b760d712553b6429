"""A `Profiler` for tests of what surrounds one: no child process, no DuckDB, no statistics.

It obeys the port's contract: tables, rows, columns, types and nulls are real, from the footers.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow.parquet as pq

from penstock_datasets.adapters.parquet_schemas import table_schema
from penstock_datasets.domain.profile import ColumnProfile, Profile, TableProfile
from penstock_datasets.domain.tables import group_by_table
from penstock_datasets.errors import DatasetsError

PROFILER = "fake-1"


class FakeProfiler:
    """Keeps the paths it was `asked` for; fails with the errors in `failures`, first come."""

    version = PROFILER

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.failures: list[DatasetsError] = []

    async def profile(self, files: Mapping[str, Path]) -> Profile:
        """See `Profiler.profile`."""
        self.asked.append(tuple(files))
        if self.failures:
            raise self.failures.pop(0)
        tables = []
        for name, paths in group_by_table(files).items():
            schema, rows = table_schema(name, paths, files)
            columns = tuple(
                ColumnProfile(
                    name=field.name,
                    type=str(field.type),
                    nulls=sum(_nulls(files[path], field.name) for path in paths),
                )
                for field in schema
            )
            tables.append(TableProfile(name=name, files=len(paths), rows=rows, columns=columns))
        return Profile(profiler=PROFILER, tables=tuple(tables))


def _nulls(file: Path, column: str) -> int:
    return int(pq.read_table(file, columns=[column])[column].null_count)
