"""The schema of each table, from the footers of its Parquet files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from penstock_datasets.errors import InvalidDatasetError

MAX_COLUMNS = 2_000


def table_schema(
    name: str, paths: Sequence[str], files: Mapping[str, Path]
) -> tuple[pa.Schema, int]:
    """Return the schema that the files of one table share, and their rows.

    The order of columns may differ from file to file; names and types may not, but for a column
    that is null throughout a file, which has no type there. Raises `InvalidDatasetError`.
    """
    rows = 0
    merged: dict[str, pa.Field] = {}
    for path in paths:
        try:
            footer = pq.ParquetFile(files[path])
        except (OSError, pa.ArrowException) as error:
            raise InvalidDatasetError(
                f"{path}: not readable as Parquet ({_one_line(error)}); write it again, or give "
                "it another suffix"
            ) from error
        with footer:
            rows += footer.metadata.num_rows
            found = {field.name: field for field in footer.schema_arrow}
            if len(found) != len(footer.schema_arrow):
                raise InvalidDatasetError(f"{path}: two columns have one name; rename one")
        merged = _merge(name, path, paths[0], merged, found) if merged else found
    if len(merged) > MAX_COLUMNS:
        raise InvalidDatasetError(
            f"table {name!r} has {len(merged)} columns; at most {MAX_COLUMNS} are taken"
        )
    return pa.schema(list(merged.values())), rows


def _merge(
    table: str, path: str, first: str, known: dict[str, pa.Field], found: dict[str, pa.Field]
) -> dict[str, pa.Field]:
    differing = sorted(known.keys() ^ found.keys())
    if differing:
        column = differing[0]
        has, lacks = (path, first) if column in found else (first, path)
        raise InvalidDatasetError(
            f"{path}: files of table {table!r} must have the same columns, but {column!r} is in "
            f"{has} and not in {lacks}; add it (null where unknown), or name the table otherwise"
        )
    merged = dict(known)
    for column, field in found.items():
        if pa.types.is_null(known[column].type):
            merged[column] = field
        elif field.type != known[column].type and not pa.types.is_null(field.type):
            raise InvalidDatasetError(
                f"{path}: column {column!r} is {field.type}, but {known[column].type} in {first}; "
                "write both with one type"
            )
    return merged


def _one_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
