"""The only door to Feast in this package: imported through here, it starts faster and answers sure.

Import this in a child process only. Three patches, each asserted against the installed Feast, so
that an upgrade which moves them fails at import and not in an answer:

1. `typeguard` recompiles 242 functions while Feast is imported, which is most of its import time.
   It checks argument types of Feast's own constructors; it is switched off before the first import.
2. Where two source rows have equal key and time (and equal created time, where there is one), Feast
   on DuckDB picks either, by the luck of threads. Both are right by Feast's contract; we always
   pick the one whose values sort last, column by column, so that equal input gives equal bytes.
3. The DuckDB store reads a `FileSource` only if its format is given or its path ends in
   `.parquet`, and it cannot filter timestamps in nanoseconds, which is what pandas writes. The
   reader accepts any path that Feast's default store accepts (file, folder, pattern), and reads
   nanoseconds as microseconds, cut off.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import typeguard


def _unchecked(target: Callable[..., Any] | None = None, **_: Any) -> Callable[..., Any]:
    return target if target is not None else _unchecked


typeguard.typechecked = _unchecked  # type: ignore[assignment]

# ruff: noqa: E402 - what follows must come after the line above.
import ibis
import ibis.expr.datatypes as dt
import pyarrow as pa
import pyarrow.parquet as pq
from feast import FeatureStore, FileSource
from feast.data_format import ParquetFormat
from feast.errors import FeastError
from feast.infra.offline_stores import duckdb as _duckdb_store
from feast.infra.offline_stores import ibis as _ibis_store
from feast.repo_config import RepoConfig
from feast.repo_operations import apply_total, get_repo_files

__all__ = [
    "FeastError",
    "FeatureStore",
    "FileSource",
    "RepoConfig",
    "apply_total",
    "bound_duckdb",
    "get_repo_files",
    "is_local_parquet",
    "source_files",
]

_MICROSECONDS_SCALE = 6

assert callable(_ibis_store.deduplicate), "Feast has moved ibis.deduplicate"
assert callable(_duckdb_store._read_data_source), "Feast has moved duckdb._read_data_source"
_original_read = _duckdb_store._read_data_source


def is_local_parquet(source: Any) -> bool:
    """Whether `source` is Parquet on this machine's disk."""
    return (
        isinstance(source, FileSource)
        and (source.file_format is None or isinstance(source.file_format, ParquetFormat))
        and "://" not in source.path
    )


def source_files(source: Any, repository: Path) -> list[Path]:
    """Return the files of a local source, sorted; none where its path leads nowhere."""
    path = repository / source.path
    if path.is_dir():
        return sorted(path.glob("**/*.parquet"))
    if path.is_file():
        return [path]
    # A pattern is relative to the repository, as every path in it is.
    return sorted(repository.glob(source.path)) if not Path(source.path).is_absolute() else []


def bound_duckdb(memory_bytes: int) -> None:
    """Bound the memory of DuckDB's buffers, which then spill to disk."""
    connection = ibis.get_backend().con  # the default backend, which Feast uses
    connection.execute(f"SET memory_limit = '{memory_bytes >> 20}MiB'")
    connection.execute("SET TimeZone = 'UTC'")


def _read_data_source(data_source: Any, repo_path: str) -> Any:
    if not is_local_parquet(data_source):
        return _original_read(data_source, repo_path)
    files = source_files(data_source, Path(repo_path))
    table = ibis.read_parquet([str(path) for path in files], union_by_name=True)
    coarser = {
        name: table[name].cast(dt.Timestamp(timezone=zone, scale=_MICROSECONDS_SCALE))
        for name, zone in _nanosecond_columns(files).items()
    }
    return table.mutate(**coarser) if coarser else table


def _nanosecond_columns(files: list[Path]) -> dict[str, str | None]:
    """Return each such column with its time zone; from Arrow, as ibis does not know the type."""
    schemas = [pq.read_schema(path) for path in files]
    return {
        field.name: field.type.tz
        for schema in schemas
        for field in schema
        if pa.types.is_timestamp(field.type) and field.type.unit == "ns"
    }


def _newest_of_each(
    table: Any,
    group_by_cols: list[str],
    event_timestamp_col: str,
    created_timestamp_col: str | None,
) -> Any:
    times = [c for c in (event_timestamp_col, created_timestamp_col) if c]
    others = sorted(set(table.columns) - set(times) - set(group_by_cols))
    order = [ibis.desc(table[name], nulls_first=False) for name in (*times, *others)]
    window = ibis.window(group_by=group_by_cols, order_by=order, following=0)
    ranked = table.mutate(rn=ibis.row_number().over(window))
    return ranked.filter(ranked["rn"] == 0).drop("rn")


_ibis_store.deduplicate = _newest_of_each
_duckdb_store._read_data_source = _read_data_source
