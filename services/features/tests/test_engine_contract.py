"""The contract of `FeatureEngine`, run on the fake and on Feast."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from penstock_features.adapters.feast_engine import FeastEngine
from penstock_features.domain.materialization import MaterializeRequest, Progress
from penstock_features.errors import InvalidRequestError, RepositoryError
from penstock_features.ports import FeatureEngine
from penstock_features.testing import FakeFeatureEngine


@pytest.fixture(params=[FakeFeatureEngine, FeastEngine])
def engine(request: pytest.FixtureRequest) -> FeatureEngine:
    made: FeatureEngine = request.param()
    return made


@pytest.fixture
def request_here(case_request: MaterializeRequest, tmp_path: Path) -> MaterializeRequest:
    return dataclasses.replace(case_request, output=tmp_path / "out")


async def test_rows_are_split_by_time_and_none_is_lost(
    engine: FeatureEngine, request_here: MaterializeRequest
) -> None:
    heard: list[Progress] = []
    result = await engine.materialize(request_here, heard.append)
    training, holdout = pq.read_table(result.training), pq.read_table(result.holdout)
    assert (training.num_rows, holdout.num_rows) == (result.training_rows, result.holdout_rows)
    entities = sum(pq.read_metadata(p).num_rows for p in request_here.tables["flights"])
    assert training.num_rows + holdout.num_rows == entities
    assert training["event_timestamp"].to_pandas().max() <= result.holdout_after
    assert holdout["event_timestamp"].to_pandas().min() > result.holdout_after
    assert training.column_names == [column.name for column in result.columns]
    assert heard
    assert heard[-1].done == heard[-1].total


@pytest.mark.parametrize(
    ("change", "error", "complaint"),
    [
        ({"holdout_days": 999}, InvalidRequestError, "holdout_days"),
        ({"label_columns": ("tardy",)}, InvalidRequestError, "no column 'tardy'.*distance"),
        ({"timestamp_column": "origin"}, InvalidRequestError, "flights.origin is string"),
    ],
)
async def test_a_request_that_does_not_fit_the_data_is_refused(
    engine: FeatureEngine,
    request_here: MaterializeRequest,
    change: dict[str, object],
    error: type[Exception],
    complaint: str,
) -> None:
    with pytest.raises(error, match=complaint):
        await engine.materialize(dataclasses.replace(request_here, **change))  # type: ignore[arg-type]


async def test_a_folder_that_is_no_repository_is_refused(
    engine: FeatureEngine, request_here: MaterializeRequest, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    request = dataclasses.replace(request_here, repository=tmp_path / "empty")
    with pytest.raises(RepositoryError, match=r"feature_store\.yaml"):
        await engine.materialize(request)


async def test_an_output_that_holds_a_run_is_refused(
    engine: FeatureEngine, request_here: MaterializeRequest
) -> None:
    (request_here.output / "repository").mkdir(parents=True)
    with pytest.raises(InvalidRequestError, match="output"):
        await engine.materialize(request_here)


async def test_a_null_time_and_a_missing_label_are_told(
    engine: FeatureEngine, request_here: MaterializeRequest, tmp_path: Path
) -> None:
    frame = pd.read_parquet(request_here.tables["flights"][0])
    frame["late"] = frame["late"].astype("boolean")
    frame.loc[3, "late"] = pd.NA
    frame.to_parquet(tmp_path / "labels.parquet")
    tables = dict(request_here.tables) | {"flights": [tmp_path / "labels.parquet"]}
    result = await engine.materialize(dataclasses.replace(request_here, tables=tables))
    assert f"label 'late' is null in 1 of {len(frame)} rows" in result.warnings
    frame.loc[5, "event_timestamp"] = pd.NaT
    frame.to_parquet(tmp_path / "labels.parquet")
    again = dataclasses.replace(request_here, tables=tables, output=tmp_path / "again")
    with pytest.raises(InvalidRequestError, match="is null in 1 of"):
        await engine.materialize(again)


async def test_the_fake_fails_as_it_is_told() -> None:
    fake = FakeFeatureEngine()
    fake.failures.append(RepositoryError("views.py:3: no"))
    request = MaterializeRequest(
        repository=Path("r"),
        tables={"t": [Path("t.parquet")]},
        feature_service="s",
        entity_table="t",
        label_columns=(),
        holdout_days=0,
        output=Path("o"),
    )
    with pytest.raises(RepositoryError, match=r"views\.py:3"):
        await fake.materialize(request)
    assert fake.requests == [request]
