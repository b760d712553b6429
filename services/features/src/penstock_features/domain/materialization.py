"""One materialisation: what is asked for, what comes back, and where training ends.

Pure. The entity table is the spine: every row of it comes out once, in its order, with the feature
values that were known at its timestamp. The newest `holdout_days` of it are held out, so that
a model is judged on days later than those it has learned from.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from penstock_features.errors import InvalidRequestError

MAX_TABLES = 256
MAX_FILES = 10_000
MAX_HOLDOUT_DAYS = 36_500

TABLE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
"""A table's name becomes the folder `data/<table>` beside the repository."""

Role = Literal["timestamp", "key", "entity", "feature", "label"]


@dataclass(frozen=True, kw_only=True)
class MaterializeRequest:
    """One run: a repository and a dataset in, a training and a holdout file out.

    `tables` gives the local Parquet files of each table, in order; the order of the rows of
    `entity_table` is the order of the rows that come out. `output` is a folder that does not exist
    or is empty. Raises `InvalidRequestError` where no run could succeed.
    """

    repository: Path
    tables: Mapping[str, Sequence[Path]]
    feature_service: str
    entity_table: str
    label_columns: tuple[str, ...]
    holdout_days: float
    output: Path
    timestamp_column: str = "event_timestamp"

    def __post_init__(self) -> None:
        """Refuse what can be seen to be wrong without reading a file."""
        if self.entity_table not in self.tables:
            known = ", ".join(sorted(self.tables)) or "none"
            raise InvalidRequestError(
                f"entity_table: the dataset has no table {self.entity_table!r} (tables: {known})"
            )
        if len(self.tables) > MAX_TABLES:
            raise InvalidRequestError(
                f"tables: {len(self.tables)} tables; at most {MAX_TABLES} are taken"
            )
        if sum(len(files) for files in self.tables.values()) > MAX_FILES:
            raise InvalidRequestError(f"tables: more than {MAX_FILES} files; merge small ones")
        for name, files in self.tables.items():
            if not TABLE_NAME.fullmatch(name):
                raise InvalidRequestError(
                    f"tables: {name!r} is no table name; use letters, digits, '_', '-' and '.'"
                )
            if not files:
                raise InvalidRequestError(f"tables: table {name!r} has no files")
        if not 0 <= self.holdout_days <= MAX_HOLDOUT_DAYS:
            raise InvalidRequestError(
                f"holdout_days: {self.holdout_days:g} is not between 0 and {MAX_HOLDOUT_DAYS} days"
            )
        if len(set(self.label_columns)) != len(self.label_columns):
            raise InvalidRequestError("label_columns: a column is named twice")
        if self.timestamp_column in self.label_columns:
            raise InvalidRequestError("label_columns: the timestamp column cannot be a label")

    def to_json(self) -> dict[str, Any]:
        """Return the request as plain JSON, paths absolute."""
        return {
            "repository": str(self.repository.absolute()),
            "tables": {
                name: [str(path.absolute()) for path in files]
                for name, files in self.tables.items()
            },
            "feature_service": self.feature_service,
            "entity_table": self.entity_table,
            "label_columns": list(self.label_columns),
            "holdout_days": self.holdout_days,
            "output": str(self.output.absolute()),
            "timestamp_column": self.timestamp_column,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> MaterializeRequest:
        """Read what `to_json` wrote."""
        return cls(
            repository=Path(data["repository"]),
            tables={name: [Path(p) for p in files] for name, files in data["tables"].items()},
            feature_service=data["feature_service"],
            entity_table=data["entity_table"],
            label_columns=tuple(data["label_columns"]),
            holdout_days=data["holdout_days"],
            output=Path(data["output"]),
            timestamp_column=data["timestamp_column"],
        )


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of the files written: its Arrow type (`double`, `string`, …) and its part."""

    name: str
    type: str
    role: Role


@dataclass(frozen=True, kw_only=True)
class MaterializeResult:
    """What a run made.

    `training` and `holdout` are Parquet files of the same columns; equal input and equal versions
    of the libraries give equal bytes. A row is held out when its timestamp is after
    `holdout_after`. `repository` is the applied copy of the repository with its registry and
    online store: open it with `feast.FeatureStore(repo_path=…)` and ask for online features.
    """

    training: Path
    training_rows: int
    holdout: Path
    holdout_rows: int
    holdout_after: datetime
    columns: tuple[Column, ...]
    repository: Path
    online_views: tuple[str, ...]
    online_as_of: datetime
    seconds: float
    peak_memory_bytes: int
    warnings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Progress:
    """One step begun: `done` of `total` steps lie behind it."""

    step: str
    message: str
    done: int
    total: int


def holdout_after(newest: datetime, oldest: datetime, holdout_days: float) -> datetime:
    """Return the instant after which rows are held out: `holdout_days` before the newest row.

    Raises `InvalidRequestError` where no row would be left to train on.
    """
    cutoff = newest - timedelta(days=holdout_days)
    if cutoff < oldest:
        raise InvalidRequestError(
            f"holdout_days: the last {holdout_days:g} days hold every row of the entity table, "
            f"which runs from {oldest.isoformat()} to {newest.isoformat()}; ask for fewer"
        )
    return cutoff
