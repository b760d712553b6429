"""Which table a file belongs to: a rule on its path alone.

1. Only `*.parquet` files hold rows of a table; any other file is carried along in the version.
2. A file in a folder belongs to the table named by the first folder: `weather/2013/01.parquet` is
   of `weather`.
3. A file at the root belongs to the table named by what stands before the first `-`, `_` or `.`
   that a digit follows: `flights-2013-01.parquet` and `flights-2013-02.parquet` are of `flights`.
   Where there is none, the whole name is the table's: `airports.parquet` is of `airports`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from penstock_datasets.errors import InvalidManifestError

PARQUET_SUFFIX = ".parquet"
TABLE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_PART_MARK = re.compile(r"(?<=.)[-_.](?=\d)")


def table_of(path: str) -> str | None:
    """Return the table of the file at `path`, `None` if it holds no rows.

    Raises `InvalidManifestError` where the name cannot be a table's.
    """
    if not path.endswith(PARQUET_SUFFIX):
        return None
    folder, slash, _ = path.partition("/")
    name = folder if slash else _PART_MARK.split(path.removesuffix(PARQUET_SUFFIX), maxsplit=1)[0]
    if not TABLE_NAME.fullmatch(name):
        raise InvalidManifestError(
            f"path {path!r}: {name!r} cannot name a table; use letters, digits, '_', '-' and '.', "
            "and begin with a letter, a digit or '_'"
        )
    return name


def group_by_table(paths: Iterable[str]) -> dict[str, list[str]]:
    """Return the sorted paths of each table, tables sorted; files without rows are left out."""
    tables: dict[str, list[str]] = {}
    for path in sorted(paths):
        if (name := table_of(path)) is not None:
            tables.setdefault(name, []).append(path)
    return dict(sorted(tables.items()))
