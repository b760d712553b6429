"""What is the Feast adapter's own: blame that helps, bounds, and nothing left behind."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

from penstock_features.adapters.feast_engine import CHILD_MODULE, FeastEngine
from penstock_features.domain.materialization import MaterializeRequest
from penstock_features.errors import EngineError, RepositoryError

from .conftest import STORE_YAML, VIEWS_PY, Case, write_repository

FLIGHTS_REPOSITORY = Path(__file__).parents[3] / "examples" / "flights" / "features"
KILLED_WITHIN_SECONDS = 20
WEATHER_TTL = pd.Timedelta(hours=6)
ASK_ROWS = 25_000  # feast_join's, which this process must not import


@pytest.mark.parametrize(
    ("views", "store", "complaint"),
    [
        pytest.param(
            VIEWS_PY.replace("source = FileSource(", "source = FileSource(("),
            STORE_YAML,
            r"views\.py:\d+: SyntaxError",
            id="syntax-error",
        ),
        pytest.param(
            VIEWS_PY.replace("ttl=timedelta(hours=3)", 'ttl=int("three")'),
            STORE_YAML,
            r"views\.py:14: ValueError: invalid literal",
            id="error-in-its-code",
        ),
        pytest.param(
            VIEWS_PY.replace("everything", "other"),
            STORE_YAML,
            "no feature service 'everything' .services: other",
            id="unknown-service",
        ),
        pytest.param(
            VIEWS_PY.replace("data/weather", "data/wether"),
            STORE_YAML,
            r"views\.py:10: feature view 'weather' reads 'data/wether'.*flights, weather",
            id="path-of-no-table",
        ),
        pytest.param(
            VIEWS_PY.replace('"visib")', '"visib", "fog")'),
            STORE_YAML,
            r"views\.py:15: feature view 'weather' names column 'fog'.*columns: origin, temp",
            id="unknown-column",
        ),
        pytest.param(
            VIEWS_PY.replace('"haze"', '"distance"'),
            STORE_YAML,
            "feature 'distance' has the name of a column of table 'flights'",
            id="name-of-an-entity-column",
        ),
        pytest.param(
            VIEWS_PY + "\nfrom feast import Project\nproject = Project(name='another')\n",
            STORE_YAML,
            "feast apply refused the repository: Project object name should match",
            id="feast-exits",
        ),
        pytest.param(VIEWS_PY, "project: [", r"feature_store\.yaml: not readable", id="yaml"),
        pytest.param(VIEWS_PY, "provider: local", r"feature_store\.yaml: ", id="no-project"),
    ],
)
async def test_a_fault_of_the_repository_is_named_with_its_place(
    case_request: MaterializeRequest, tmp_path: Path, views: str, store: str, complaint: str
) -> None:
    repository = write_repository(tmp_path / "repository", views, store)
    request = dataclasses.replace(case_request, repository=repository, output=tmp_path / "out")
    with pytest.raises(RepositoryError, match=complaint):
        await FeastEngine().materialize(request)
    assert not (tmp_path / "out" / "training.parquet").exists()


async def test_a_link_out_of_the_repository_is_refused(
    case_request: MaterializeRequest, tmp_path: Path
) -> None:
    repository = write_repository(tmp_path / "repository")
    (tmp_path / "secret.txt").write_text("not yours")
    (repository / "stolen.txt").symlink_to(tmp_path / "secret.txt")
    request = dataclasses.replace(case_request, repository=repository, output=tmp_path / "out")
    with pytest.raises(RepositoryError, match=r"stolen\.txt: a link that leads out"):
        await FeastEngine().materialize(request)


def test_the_users_repository_is_left_as_it_was(case: Case) -> None:
    names = {path.name for path in case.request.repository.iterdir()}
    assert names == {"feature_store.yaml", "views.py"}


def test_progress_is_told_in_order(case: Case) -> None:
    steps = [progress.step for progress in case.progress]
    assert steps == ["read", "import", "apply", "join", "write", "online", "done"]
    assert [progress.done for progress in case.progress] == list(range(7))


async def test_a_run_that_takes_too_long_is_stopped(
    case_request: MaterializeRequest, tmp_path: Path
) -> None:
    request = dataclasses.replace(case_request, output=tmp_path / "out")
    with pytest.raises(EngineError, match=r"stopped after 0\.2 s"):
        await FeastEngine(timeout_seconds=0.2).materialize(request)


async def test_a_run_that_takes_too_much_memory_is_stopped(
    case_request: MaterializeRequest, tmp_path: Path
) -> None:
    request = dataclasses.replace(case_request, output=tmp_path / "out")
    with pytest.raises(EngineError, match="the bound is 100 MiB"):
        await FeastEngine(memory_bytes=100 * 1024**2).materialize(request)


def is_running(pid: int) -> bool:
    """Whether the process runs; a killed one that nobody has reaped yet does not."""
    command = ["ps", "-o", "stat=", "-p", str(pid)]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)
    return listed.stdout.strip()[:1] not in ("", "Z")


async def test_cancelling_ends_the_child_and_all_that_it_started(
    case_request: MaterializeRequest, tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    views = f"""
import os, subprocess, sys, threading
sleeper = subprocess.Popen([sys.executable, "-c", "import threading; threading.Event().wait()"])
with open({str(pipe)!r}, "w") as pipe:
    pipe.write(f"{{os.getpid()}} {{sleeper.pid}}")
threading.Event().wait()
"""
    repository = write_repository(tmp_path / "repository", views)
    request = dataclasses.replace(case_request, repository=repository, output=tmp_path / "out")
    run = asyncio.create_task(FeastEngine().materialize(request))
    child, grandchild = (await asyncio.to_thread(pipe.read_text)).split()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert not is_running(int(child))
    assert not is_running(int(grandchild))


def test_the_child_ends_when_its_parent_is_gone(
    case_request: MaterializeRequest, tmp_path: Path
) -> None:
    request = dataclasses.replace(case_request, output=tmp_path / "out")
    with subprocess.Popen(
        [sys.executable, "-m", CHILD_MODULE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        message = {"request": request.to_json(), "memory_bytes": 2**32}
        child.stdin.write(json.dumps(message).encode() + b"\n")
        child.stdin.flush()
        assert b"read" in child.stdout.readline()
        child.stdin.close()  # what the kernel does when a parent is killed
        assert child.wait(timeout=KILLED_WITHIN_SECONDS) == -9


async def test_the_platforms_secrets_do_not_reach_the_repository(
    case_request: MaterializeRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "platform-secret")
    views = (
        'import os\nraise RuntimeError(sorted(k for k in os.environ if k[:3] in ("AWS", "MY_")))'
    )
    repository = write_repository(tmp_path / "repository", views)
    request = dataclasses.replace(case_request, repository=repository, output=tmp_path / "out")
    with pytest.raises(RepositoryError, match=r"views\.py:2: RuntimeError: \['MY_STORE'\]"):
        await FeastEngine(environment={"MY_STORE": "given"}).materialize(request)


async def test_the_flights_example_joins_as_pandas_does(tmp_path: Path) -> None:
    """The example's own repository, unchanged, on two months: more rows than Feast is asked at a
    time, against `merge_asof`, which knows no Feast."""
    flights, weather = zip(
        *(prepare().write_month(tmp_path, month) for month in (1, 2)), strict=True
    )
    request = MaterializeRequest(
        repository=FLIGHTS_REPOSITORY,
        tables={"flights": flights, "weather": weather},
        feature_service="flight_lateness",
        entity_table="flights",
        label_columns=("late",),
        holdout_days=0,
        output=tmp_path / "out",
    )
    result = await FeastEngine().materialize(request)
    assert (result.warnings, result.holdout_rows) == ((), 0)
    assert result.online_views == ("weather",)

    asked = pd.concat([pd.read_parquet(path) for path in flights], ignore_index=True)
    assert len(asked[["origin", "event_timestamp"]].drop_duplicates()) > ASK_ROWS
    observed = pd.concat([pd.read_parquet(path) for path in weather])
    expected = pd.merge_asof(
        asked.drop(columns="late").sort_values("event_timestamp", kind="stable"),
        observed.sort_values("event_timestamp", kind="stable"),
        on="event_timestamp",
        by="origin",
        tolerance=WEATHER_TTL,
    )
    got = pd.read_parquet(result.training).sort_values("event_timestamp", kind="stable")
    columns = [column.name for column in result.columns if column.role != "label"]
    pd.testing.assert_frame_equal(got[columns].reset_index(drop=True), expected[columns])


def prepare() -> ModuleType:
    """The example's script, which is no package."""
    script = FLIGHTS_REPOSITORY.parent / "prepare.py"
    spec = importlib.util.spec_from_file_location("prepare", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
