"""The data: what a month's files hold, that they never look ahead, and that bytes are stable."""

import argparse
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pandas as pd
import pyarrow.parquet as pq
import pytest

ONLY_KNOWN_AFTERWARDS = {"dep_time", "dep_delay", "arr_time", "arr_delay", "air_time", "tailnum"}
SCRIPT = Path(__file__).resolve().parents[1] / "prepare.py"


@pytest.fixture(scope="module")
def raw(prepare: ModuleType) -> pd.DataFrame:
    return prepare._read("flights.csv.zip")


def test_another_process_writes_the_same_bytes(months: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, SCRIPT, tmp_path, "--months", "2"], check=True)
    written = sorted(path.name for path in tmp_path.iterdir())
    assert written == ["flights-2013-02.parquet", "weather-2013-02.parquet"]
    for name in written:
        assert (tmp_path / name).read_bytes() == (months / name).read_bytes()


def test_no_column_is_known_only_afterwards_but_the_label(
    prepare: ModuleType, months: Path
) -> None:
    schema = pq.read_schema(months / "flights-2013-01.parquet")
    assert schema.names == prepare.FLIGHTS_SCHEMA.names
    assert not ONLY_KNOWN_AFTERWARDS & set(schema.names)
    assert "late" in schema.names


def test_features_stay_the_same_whatever_happens_to_the_flights(
    prepare: ModuleType, raw: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proof that nothing leaks: change all that is known afterwards, and only `late` moves."""
    read = prepare._read
    changed = raw.assign(arr_delay=raw["arr_delay"].where(raw["arr_delay"].isna(), 500.0))
    changed[["dep_time", "dep_delay", "arr_time", "air_time"]] = 7.0
    monkeypatch.setattr(
        prepare, "_read", lambda name: changed if name.startswith("flights") else read(name)
    )
    before, after = prepare.flights(), prepare.flights.__wrapped__()
    assert after["late"].eq(1).all()
    pd.testing.assert_frame_equal(before.drop(columns="late"), after.drop(columns="late"))


def test_every_flight_that_landed_is_there_once_and_in_order(
    prepare: ModuleType, raw: pd.DataFrame
) -> None:
    flights = prepare.flights()
    assert len(raw) == 336_776
    assert len(flights) == raw["arr_delay"].notna().sum() == 327_346
    assert flights["late"].sum() == (raw["arr_delay"] > 15).sum()
    assert flights["event_timestamp"].is_monotonic_increasing
    assert not flights.isna().any().any()


@pytest.mark.parametrize(
    ("local", "utc_two_hours_before"),
    [
        ("2013-01-01 05:15", "2013-01-01 08:15"),  # winter: UTC-5
        ("2013-03-09 06:00", "2013-03-09 09:00"),
        ("2013-03-10 06:00", "2013-03-10 08:00"),  # the clock went forward at 2:00
        ("2013-07-01 06:00", "2013-07-01 08:00"),  # summer: UTC-4
        ("2013-11-03 06:00", "2013-11-03 09:00"),  # and back at 2:00
    ],
)
def test_the_question_is_asked_two_hours_before_departure_in_utc(
    prepare: ModuleType, local: str, utc_two_hours_before: str
) -> None:
    flights, clock = prepare.flights(), pd.Timestamp(local)
    rows = flights[
        (flights["day_of_year"] == clock.dayofyear)
        & (flights["dep_hour"] == clock.hour)
        & (flights["dep_minute"] == clock.minute)
    ]
    assert len(rows) > 0
    assert set(rows["event_timestamp"]) == {pd.Timestamp(utc_two_hours_before, tz="UTC")}


def test_scheduled_minutes_agree_with_the_time_that_flights_take_in_the_air(
    prepare: ModuleType, raw: pd.DataFrame
) -> None:
    """The schedule has no arrival date and no zone; flown times, unused so far, check ours."""
    landed = raw[raw["arr_delay"].notna()]
    departure = landed["time_hour"] + pd.to_timedelta(landed["minute"], unit="min")
    local = departure.dt.tz_convert("America/New_York")
    scheduled = prepare._scheduled_minutes(local, landed["sched_arr_time"], landed["dest"])
    # Flown: from the actual departure to the actual arrival, both in the data as delays.
    on_the_ground = scheduled + landed["arr_delay"] - landed["dep_delay"] - landed["air_time"]
    assert on_the_ground.between(0, 300).all()
    assert on_the_ground.median() == pytest.approx(25, abs=10)


def test_an_observation_is_available_only_when_its_hour_is_over(
    prepare: ModuleType, months: Path
) -> None:
    raw = prepare._read("weather.csv")
    weather = prepare.weather()
    assert len(weather) == len(raw)
    first = weather[weather["origin"] == "EWR"].iloc[0]
    assert first["event_timestamp"] == pd.Timestamp("2013-01-01 07:00", tz="UTC")
    assert first["temp"] == raw.iloc[0]["temp"]
    assert not weather.duplicated(["origin", "event_timestamp"]).any()
    written = pq.read_table(months / "weather-2013-02.parquet")
    assert written.schema.equals(prepare.WEATHER_SCHEMA)
    assert written.num_rows == (raw["month"] == 2).sum()


def test_the_package_is_read_once_however_many_months_are_written(
    prepare: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare.write_month(tmp_path, 1)
    monkeypatch.setattr(prepare, "_read", lambda name: pytest.fail(f"{name} is read again"))
    prepare.write_month(tmp_path, 12)


@pytest.mark.parametrize(
    ("text", "months"), [("3", [3]), ("1-3", [1, 2, 3]), ("6,1-2,2", [1, 2, 6])]
)
def test_months_are_given_as_ranges(prepare: ModuleType, text: str, months: list[int]) -> None:
    assert prepare.parse_months(text) == months


@pytest.mark.parametrize("text", ["", "0", "13", "3-1", "march", "1-"])
def test_what_is_no_range_of_months_is_refused(prepare: ModuleType, text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is not a range of months"):
        prepare.parse_months(text)
