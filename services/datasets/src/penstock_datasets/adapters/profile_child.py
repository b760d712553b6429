"""The child of `DuckDbProfiler`: one JSON request in, one JSON answer out.

DuckDB and Arrow are imported here and never in the platform's own process.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import duckdb

from penstock_chassis.child_process import Protocol, watch_parent
from penstock_datasets.adapters.parquet_schemas import table_schema
from penstock_datasets.adapters.profile_queries import profile_column
from penstock_datasets.adapters.profiler import PROFILER
from penstock_datasets.domain.profile import Profile, TableProfile
from penstock_datasets.domain.tables import group_by_table
from penstock_datasets.errors import DatasetsError, InvalidDatasetError, ProfilerError


def profile(files: Mapping[str, Path], memory_bytes: int) -> Profile:
    """Profile the tables of `files`; see the port `Profiler`."""
    with duckdb.connect(":memory:") as connection:
        connection.execute("SET threads = 1")  # see profile_queries
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"SET memory_limit = '{memory_bytes >> 20}MiB'")
        tables = [
            _profile_table(connection, name, paths, files)
            for name, paths in group_by_table(files).items()
        ]
    return Profile(profiler=PROFILER, tables=tuple(tables))


def _profile_table(
    connection: duckdb.DuckDBPyConnection, name: str, paths: list[str], files: Mapping[str, Path]
) -> TableProfile:
    schema, rows = table_schema(name, paths, files)
    places = ", ".join(_literal(str(files[path])) for path in paths)
    # Hive partitioning is off: a folder named `a=b` is no column of ours.
    source = f"read_parquet([{places}], union_by_name = true, hive_partitioning = false)"
    try:
        columns = tuple(profile_column(connection, source, rows, field) for field in schema)
    except duckdb.OutOfMemoryException as error:
        raise ProfilerError(f"table {name!r}: {error}; give the profiler more memory") from error
    except duckdb.Error as error:
        reason = str(error)
        for path in paths:
            reason = reason.replace(str(files[path]), path)
        raise InvalidDatasetError(f"table {name!r} cannot be read: {reason}") from error
    return TableProfile(name=name, files=len(paths), rows=rows, columns=columns)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def main() -> int:
    """Answer the request on standard input."""
    protocol = Protocol()
    request = protocol.request()
    watch_parent()
    files = {name: Path(place) for name, place in request["files"].items()}
    try:
        protocol.say(profile=profile(files, request["memory_bytes"]).to_json())
    except DatasetsError as error:
        protocol.say(error={"kind": type(error).__name__, "message": str(error)})
    return 0


if __name__ == "__main__":
    sys.exit(main())
