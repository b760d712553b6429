"""The contract of `Profiler` on the fake and on DuckDB; then DuckDB's figures against Python's."""

from __future__ import annotations

import datetime as d
import math
import subprocess
import sys
from collections import Counter
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock_datasets.adapters.profiler import DuckDbProfiler
from penstock_datasets.domain.profile import ColumnProfile, Profile
from penstock_datasets.errors import InvalidDatasetError, InvalidManifestError, ProfilerError
from penstock_datasets.ports import Profiler
from penstock_datasets.testing import FakeProfiler

UTC = d.UTC
FLOATS = [1.5, -2.0, 7.25, 7.25, None, math.nan, math.inf, -math.inf, 100.0, 0.0]
WHOLE = [3, 1, 2, 3, 3, None, 1, 9, -4, 2**62]
TEXTS = ["b", "a", "b", None, "", "ü", "b", "x" * 500, "a'\"", "c"]
TIMES = [d.datetime(2013, 1, 1, hour, 30, tzinfo=UTC) for hour in range(10)]


def rich_table() -> pa.Table:
    return pa.table(
        {
            "real": pa.array(FLOATS, pa.float64()),
            "whole": pa.array(WHOLE, pa.int64()),
            "text": pa.array(TEXTS, pa.string()),
            'odd "name"': pa.array([True, False, None, *[True] * 7], pa.bool_()),
            "zoned": pa.array(TIMES, pa.timestamp("ns", tz="UTC")),
            "naive": pa.array([t.replace(tzinfo=None) for t in TIMES], pa.timestamp("us")),
            "day": pa.array([t.date() for t in TIMES], pa.date32()),
            "money": pa.array([Decimal("1.25")] * 10, pa.decimal128(9, 2)),
            "list": pa.array([[1], None, *[[2]] * 8], pa.list_(pa.field("element", pa.int64()))),
            "nothing": pa.nulls(10),
            "all_null": pa.nulls(10, pa.float64()),
            "coded": pa.array(TEXTS, pa.string()).dictionary_encode(),
        }
    )


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    table = rich_table()
    made = {
        "rich-01.parquet": table.slice(0, 4),
        "rich-02.parquet": table.slice(4),
        "weather/2013/a'b.parquet": pa.table({"temp": [1.0, None]}),
        "README.md": None,
    }
    places = {}
    for number, (path, content) in enumerate(made.items()):
        # As the store keeps them: named by something else than their path.
        places[path] = tmp_path / f"object'{number}"
        if content is None:
            places[path].write_text("# read me")
        else:
            pq.write_table(content, places[path])
    return places


@pytest.fixture(params=[FakeProfiler, DuckDbProfiler])
def profiler(request: pytest.FixtureRequest) -> Profiler:
    made: Profiler = request.param()
    return made


async def test_tables_rows_types_and_nulls_are_told(
    profiler: Profiler, files: dict[str, Path]
) -> None:
    profile = await profiler.profile(files)
    assert [(t.name, t.files, t.rows) for t in profile.tables] == [
        ("rich", 2, 10),
        ("weather", 1, 2),
    ]
    assert profile.rows == 12
    rich, weather = profile.tables
    assert [(c.name, c.type) for c in rich.columns] == [
        (field.name, str(field.type)) for field in rich_table().schema
    ]
    assert {c.name: c.nulls for c in rich.columns} == {
        name: rich_table()[name].null_count for name in rich_table().column_names
    }
    assert [(c.name, c.nulls) for c in weather.columns] == [("temp", 1)]
    assert profile.schemas()[1].columns == (("temp", "double"),)


async def test_the_same_files_give_the_same_bytes(
    profiler: Profiler, files: dict[str, Path]
) -> None:
    first = await profiler.profile(files)
    second = await profiler.profile(dict(reversed(files.items())))
    assert first.to_bytes() == second.to_bytes()
    assert Profile.from_json(first.to_json()) == first


async def test_a_file_that_is_not_parquet_is_named(
    profiler: Profiler, files: dict[str, Path]
) -> None:
    with pytest.raises(InvalidDatasetError, match=r"rich-03\.parquet: not readable as Parquet"):
        await profiler.profile(files | {"rich-03.parquet": files["README.md"]})


async def test_a_file_that_is_not_there_is_named(
    profiler: Profiler, files: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(InvalidDatasetError, match=r"rich-03\.parquet"):
        await profiler.profile(files | {"rich-03.parquet": tmp_path / "none"})


@pytest.mark.parametrize(
    ("columns", "complaint"),
    [
        ({"temp": ["warm"]}, r"w-2\.parquet: column 'temp' is string, but double in w-1\.parquet"),
        ({"temp": [1.0], "wind": [1.0]}, r"'wind' is in w-2\.parquet and not in w-1\.parquet"),
        ({}, r"'temp' is in w-1\.parquet and not in w-2\.parquet"),
    ],
)
async def test_files_of_a_table_that_do_not_agree_are_refused(
    profiler: Profiler, tmp_path: Path, columns: dict[str, list[object]], complaint: str
) -> None:
    pq.write_table(pa.table({"temp": [1.0]}), tmp_path / "1")
    pq.write_table(pa.table(columns), tmp_path / "2")
    with pytest.raises(InvalidDatasetError, match=complaint):
        await profiler.profile({"w-1.parquet": tmp_path / "1", "w-2.parquet": tmp_path / "2"})


async def test_a_column_that_is_null_throughout_one_file_takes_the_others_type(
    profiler: Profiler, tmp_path: Path
) -> None:
    pq.write_table(pa.table({"gust": pa.nulls(2)}), tmp_path / "1")
    pq.write_table(pa.table({"gust": [3.5]}), tmp_path / "2")
    profile = await profiler.profile({"w-1.parquet": tmp_path / "1", "w-2.parquet": tmp_path / "2"})
    (column,) = profile.tables[0].columns
    assert (column.type, column.nulls) == ("double", 2)


async def test_a_path_that_can_name_no_table_is_refused(
    profiler: Profiler, files: dict[str, Path]
) -> None:
    with pytest.raises(InvalidManifestError, match="cannot name a table"):
        await profiler.profile({"my table.parquet": files["rich-01.parquet"]})


async def test_a_dataset_without_tables_has_an_empty_profile(
    profiler: Profiler, files: dict[str, Path]
) -> None:
    profile = await profiler.profile({"README.md": files["README.md"]})
    assert profile.tables == ()


async def columns_of(files: dict[str, Path]) -> dict[str, ColumnProfile]:
    profile = await DuckDbProfiler().profile(files)
    return {column.name: column for column in profile.tables[0].columns}


async def test_numbers_are_described_over_their_finite_values(files: dict[str, Path]) -> None:
    real = (await columns_of(files))["real"]
    finite = sorted(v for v in FLOATS if v is not None and math.isfinite(v))
    assert (real.non_finite, real.min, real.max) == (3, -2.0, 100.0)
    assert real.mean == pytest.approx(sum(finite) / len(finite))
    assert real.distinct == len(set(finite))
    values = [quantile.value for quantile in real.quantiles]
    assert values == sorted(values)
    assert set(values) <= set(finite)
    assert [q.value for q in real.quantiles if q.at == 0.5] == [finite[2]]
    assert real.histogram is not None
    edges, counts = real.histogram.edges, real.histogram.counts
    assert (edges[0], edges[-1], len(edges)) == (-2.0, 100.0, len(counts) + 1)
    expected = [sum(low <= v < high for v in finite) for low, high in pairwise(edges)]
    expected[-1] += finite.count(100.0)
    assert list(counts) == expected
    assert sum(counts) == len(finite)


async def test_whole_numbers_stay_exact_and_are_also_a_category(files: dict[str, Path]) -> None:
    whole = (await columns_of(files))["whole"]
    assert (whole.min, whole.max) == (-4, 2**62)
    assert (whole.top[0].value, whole.top[0].count) == (3, 3)


async def test_texts_and_booleans_show_their_commonest_values(files: dict[str, Path]) -> None:
    columns = await columns_of(files)
    for name in ("text", "coded"):
        counted = Counter(v[:200] for v in TEXTS if v is not None)
        assert {(t.value, t.count) for t in columns[name].top} == set(counted.items())
        counts = [t.count for t in columns[name].top]
        assert counts == sorted(counts, reverse=True)
        assert columns[name].distinct == len(counted)
    flags = columns['odd "name"']
    assert [(t.value, t.count) for t in flags.top] == [(True, 8), (False, 1)]


async def test_times_are_iso_8601_with_a_zone_where_there_is_one(files: dict[str, Path]) -> None:
    columns = await columns_of(files)
    assert columns["zoned"].min == "2013-01-01T00:30:00+00:00"
    assert columns["naive"].max == "2013-01-01T09:30:00"
    assert columns["day"].min == "2013-01-01"
    for name in ("zoned", "naive"):
        assert columns[name].quantiles[3].value in (TIMES[4].isoformat(), TIMES[4].isoformat()[:-6])


async def test_what_has_no_statistics_still_has_its_nulls(files: dict[str, Path]) -> None:
    columns = await columns_of(files)
    assert (columns["list"].nulls, columns["list"].min) == (1, None)
    assert (columns["nothing"].nulls, columns["nothing"].distinct) == (10, None)
    empty = columns["all_null"]
    assert (empty.nulls, empty.distinct, empty.mean, empty.histogram) == (10, 0, None, None)
    assert columns["money"].min == 1.25
    assert columns["money"].histogram is not None
    assert columns["money"].histogram.counts == (10,)


async def test_extreme_numbers_have_no_histogram_rather_than_an_infinite_one(
    tmp_path: Path,
) -> None:
    pq.write_table(pa.table({"x": [-1.7e308, 1.7e308]}), tmp_path / "x")
    column = (await columns_of({"x.parquet": tmp_path / "x"}))["x"]
    assert column.histogram is None
    assert (column.min, column.max) == (-1.7e308, 1.7e308)


async def test_a_table_without_rows_has_a_profile(tmp_path: Path) -> None:
    pq.write_table(rich_table().slice(0, 0), tmp_path / "x")
    profile = await DuckDbProfiler().profile({"x.parquet": tmp_path / "x"})
    assert profile.tables[0].rows == 0
    assert {column.nulls for column in profile.tables[0].columns} == {0}


async def test_a_damaged_page_is_blamed_on_its_table_by_its_path_in_the_dataset(
    tmp_path: Path,
) -> None:
    place = tmp_path / "object"
    pq.write_table(pa.table({"x": [float(i) for i in range(5000)]}), place, compression="zstd")
    damaged = bytearray(place.read_bytes())
    damaged[40:400] = bytes(360)
    place.write_bytes(damaged)
    with pytest.raises(InvalidDatasetError, match="table 'x' cannot be read") as caught:
        await DuckDbProfiler().profile({"x-1.parquet": place})
    assert str(tmp_path) not in str(caught.value)


async def test_a_profiler_that_takes_too_long_is_stopped(files: dict[str, Path]) -> None:
    with pytest.raises(ProfilerError, match=r"stopped after 0\.01 s"):
        await DuckDbProfiler(timeout_seconds=0.01).profile(files)


def test_the_platforms_process_imports_neither_duckdb_nor_arrow() -> None:
    code = (
        "import sys, penstock_datasets.adapters.profiler\n"
        "print(sorted({'duckdb', 'pyarrow', 'pandas', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
