"""Which table a file of a dataset belongs to, by its path alone.

The rule of the platform's datasets (services share contracts, not code): the first folder names
the table of a `*.parquet` file; at the root it is what stands before the first `-`, `_` or `.`
that a digit follows (`flights-2013-01.parquet` is of `flights`). Other files hold no rows.
"""

import re
from collections.abc import Iterable

PARQUET_SUFFIX = ".parquet"
_PART_MARK = re.compile(r"(?<=.)[-_.](?=\d)")


def group_by_table(paths: Iterable[str]) -> dict[str, list[str]]:
    """The sorted paths of each table."""
    tables: dict[str, list[str]] = {}
    for path in sorted(paths):
        if path.endswith(PARQUET_SUFFIX):
            folder, slash, _ = path.partition("/")
            stem = path.removesuffix(PARQUET_SUFFIX)
            name = folder if slash else _PART_MARK.split(stem, maxsplit=1)[0]
            tables.setdefault(name, []).append(path)
    return tables
