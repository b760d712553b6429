"""Datasets: versions of tables that many share."""

from typing import Annotated

from pydantic import Field

from penstock_schemas.event import ANYONE, Event, Value
from penstock_schemas.names import Digest, Name
from penstock_schemas.nouns.parts import (
    REF,
    Count,
    DatasetVersion,
    ObjectRef,
    Refusal,
    Seconds,
    ShortText,
)


class SourceFile(Value):
    """A file to take in: its path inside the dataset and where to read it.

    `uri` is `s3://…` (any bucket that the platform can read) or `file://…` (only where the
    platform's settings allow that folder). A wrong digest refuses the whole request.
    """

    path: Annotated[ShortText, Field(description="Where it goes inside the dataset")]
    uri: Annotated[
        str, Field(pattern=r"^(s3|file)://.+$", max_length=1024, description="Where to read it")
    ]
    digest: Annotated[Digest | None, Field(description="What it must hash to, if known")] = None


class DatasetRequested(Event):
    """Take these files in and register them as a version; `extends` keeps the files of a version
    that is already there (`latest` for the newest)."""

    type = "dataset.requested"
    key = "dataset"
    owner = ANYONE
    declarative = True
    example = {
        "dataset": "flights",
        "files": [{"path": "flights-2013-04.parquet", "uri": "s3://landing/f.parquet"}],
        "extends": "latest",
    }

    dataset: Name
    files: Annotated[
        tuple[SourceFile, ...],
        Field(min_length=1, max_length=10_000, description="The files to take in"),
    ]
    extends: Annotated[
        str | None, Field(description="The version whose files are kept, or `latest`")
    ] = None


class DatasetRegistered(Event):
    """A version exists: all its objects are stored and durable, named by the manifest."""

    type = "dataset.registered"
    key = "dataset"
    owner = ANYONE
    example = {
        "dataset": "flights",
        "dataset_version": "blake3:" + "ab" * 32,
        "manifest": REF | {"kind": "folder"},
        "files": 6,
        "size_bytes": 5_242_880,
        "parent": None,
    }

    dataset: Name
    dataset_version: DatasetVersion
    manifest: ObjectRef
    files: Annotated[Count, Field(description="How many files it has")]
    size_bytes: Annotated[Count, Field(description="Bytes of all its files")]
    parent: Annotated[Digest | None, Field(description="The version it was made from")] = None


class ColumnProfile(Value):
    """What one column holds. `minimum` and `maximum` are numbers or ISO-8601 text."""

    name: Annotated[str, Field(description="Name of the column")]
    type: Annotated[str, Field(description="Its type, as DuckDB names it")]
    nulls: Annotated[Count, Field(description="Rows without a value")]
    distinct: Annotated[int, Field(ge=0, description="Different values, approximate")]
    minimum: Annotated[
        float | str | None, Field(description="Least value, in the column's unit")
    ] = None
    maximum: Annotated[
        float | str | None, Field(description="Greatest value, in the column's unit")
    ] = None
    mean: Annotated[float | None, Field(description="Mean, in the column's unit")] = None


class TableProfile(Value):
    """What one table of a version holds; distributions are in the full profile."""

    table: Annotated[str, Field(description="Name of the table")]
    rows: Annotated[Count, Field(description="How many rows it has")]
    columns: Annotated[tuple[ColumnProfile, ...], Field(description="In the table's order")]


class DatasetProfiled(Event):
    """A version was verified byte by byte and described."""

    type = "dataset.profiled"
    key = "dataset"
    owner = "datasets"
    example = {
        "dataset": "flights",
        "dataset_version": "blake3:" + "ab" * 32,
        "manifest": REF | {"kind": "folder"},
        "profile": REF,
        "profiler": "1",
        "seconds": 1.8,
        "tables": [
            {
                "table": "flights",
                "rows": 80789,
                "columns": [
                    {
                        "name": "distance",
                        "type": "DOUBLE",
                        "nulls": 0,
                        "distinct": 212,
                        "minimum": 80,
                        "maximum": 4983,
                        "mean": 1007.1,
                    }
                ],
            }
        ],
    }

    dataset: Name
    dataset_version: DatasetVersion
    manifest: ObjectRef
    tables: Annotated[tuple[TableProfile, ...], Field(description="Every table of the version")]
    profile: Annotated[ObjectRef, Field(description="The full profile with distributions, JSON")]
    profiler: Annotated[str, Field(description="The version of the profiler's rules")]
    seconds: Seconds


class DatasetRejected(Event, Refusal):
    """A request or a version was refused; versions registered before stay as they are."""

    type = "dataset.rejected"
    key = "dataset"
    owner = "datasets"
    example = {
        "dataset": "flights",
        "dataset_version": "blake3:" + "ab" * 32,
        "request": "0190c2a4-7b1e-7c30-8f00-000000000001",
        "reason": "flights-2013-02.parquet does not match its digest",
        "field": "manifest",
        "fix": "upload the file again and register the version anew",
    }

    dataset: Name
    dataset_version: DatasetVersion | None = None
