"""Features: what a model sees, kept up to date from each new version of a dataset."""

from typing import Annotated

from pydantic import Field

from penstock_schemas.event import ANYONE, Event
from penstock_schemas.names import Digest, Name
from penstock_schemas.nouns.parts import (
    REF,
    Count,
    DatasetVersion,
    ObjectRef,
    Positive,
    Refusal,
    Seconds,
    ShortText,
)


class FeaturesRequested(Event):
    """Keep the feature set `features` materialised from each profiled version of `dataset`.

    `repository` is an unchanged Feast repository. The rows of `entity_table` are the entity rows:
    each gets the newest feature values known at its `timestamp_column`, never later ones. Rows
    of the last `holdout_days` before the table's end are kept apart for promotion gates.
    """

    type = "features.requested"
    key = "features"
    owner = ANYONE
    declarative = True
    example = {
        "features": "flight-lateness",
        "dataset": "flights",
        "repository": REF | {"kind": "folder"},
        "feature_service": "flight_lateness",
        "entity_table": "flights",
        "timestamp_column": "event_timestamp",
        "holdout_days": 10,
    }

    features: Name
    dataset: Name
    repository: ObjectRef
    feature_service: Annotated[ShortText, Field(description="Feast feature service to compute")]
    entity_table: Annotated[ShortText, Field(description="Table of the dataset with entity rows")]
    timestamp_column: Annotated[
        ShortText, Field(description="Its column that says when each row was known")
    ] = "event_timestamp"
    holdout_days: Annotated[
        float, Field(ge=0, description="Days at the table's end kept apart for gates")
    ] = 0.0


class FeaturesPushed(Event):
    """New rows of a feature view, as a Parquet object of at most some thousand rows."""

    type = "features.pushed"
    key = "features"
    owner = ANYONE
    example = {"features": "flight-lateness", "view": "weather", "rows": REF, "row_count": 100}

    features: Name
    view: Annotated[ShortText, Field(description="Name of the feature view")]
    rows: Annotated[ObjectRef, Field(description="Parquet, one row an entity and time")]
    row_count: Annotated[Positive, Field(description="How many rows there are")]


class FeaturesMaterialized(Event):
    """The feature set was computed from one dataset version, point in time, and stored."""

    type = "features.materialized"
    key = "features"
    owner = "features"
    example = {
        "features": "flight-lateness",
        "dataset": "flights",
        "dataset_version": "blake3:" + "ab" * 32,
        "repository_digest": "blake3:" + "cd" * 32,
        "training": REF,
        "holdout": REF,
        "training_rows": 70000,
        "holdout_rows": 9000,
        "columns": {"distance": "double", "temp": "double", "late": "int64"},
        "seconds": 5.2,
    }

    features: Name
    dataset: Name
    dataset_version: DatasetVersion
    repository_digest: Annotated[Digest, Field(description="The digest of the Feast repository")]
    training: Annotated[ObjectRef, Field(description="Parquet, one row an entity row, in order")]
    holdout: Annotated[ObjectRef | None, Field(description="Parquet, the later rows")] = None
    training_rows: Annotated[Count, Field(description="Rows to train on")]
    holdout_rows: Annotated[Count, Field(description="Later rows, for gates")]
    columns: Annotated[dict[str, str], Field(description="Arrow types by column")]
    seconds: Seconds


class FeaturesRejected(Event, Refusal):
    """The feature set could not be computed; what was materialised before stays."""

    type = "features.rejected"
    key = "features"
    owner = "features"
    example = {
        "features": "flight-lateness",
        "dataset_version": "blake3:" + "ab" * 32,
        "request": "0190c2a4-7b1e-7c30-8f00-000000000001",
        "reason": "definitions.py line 12: FeatureView weather names the unknown entity 'airport'",
        "field": "repository",
        "fix": "declare the entity or correct its name",
    }

    features: Name
    dataset_version: DatasetVersion | None = None
