"""The scripts run as a person runs them: plain files, in an empty folder, without the platform."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pandas as pd
import pytest

FOLDER = Path(__file__).resolve().parents[1]
HOLDOUT_DAYS = 10


def load(name: str) -> ModuleType:
    """Import one of the scripts by its file; their names are too plain for `sys.path`."""
    spec = importlib.util.spec_from_file_location(f"flights_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def environment() -> dict[str, str]:
    """One thread, as on the platform, and nothing of a platform's job."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
    return kept | {"OMP_NUM_THREADS": "1"}


def call(script: str, *arguments: object, cwd: Path) -> dict[str, float]:
    """Run a script in `cwd` and return the metrics of its result."""
    command = [sys.executable, "-W", "error", FOLDER / f"{script}.py", *map(str, arguments)]
    subprocess.run(command, cwd=cwd, env=environment(), check=True)
    return json.loads((cwd / "penstock-run" / "result.json").read_text())["metrics"]


@pytest.fixture(scope="session")
def prepare() -> ModuleType:
    return load("prepare")


@pytest.fixture(scope="session")
def months(prepare: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of January to March."""
    folder = tmp_path_factory.mktemp("months")
    prepare.main([str(folder), "--months", "1-3"])
    return folder


@pytest.fixture(scope="session")
def tables(months: Path) -> SimpleNamespace:
    """`training` and `holdout` (the last ten days), each flight with the newest weather it knew."""

    def read(name: str) -> pd.DataFrame:
        parts = [pd.read_parquet(path) for path in sorted(months.glob(f"{name}-*"))]
        return pd.concat(parts).sort_values("event_timestamp", kind="stable")

    joined = pd.merge_asof(read("flights"), read("weather"), on="event_timestamp", by="origin")
    is_holdout = joined["event_timestamp"] >= pd.Timestamp("2013-04-01", tz="America/New_York") - (
        pd.Timedelta(days=HOLDOUT_DAYS)
    )
    written = {}
    for name, rows in (("training", joined[~is_holdout]), ("holdout", joined[is_holdout])):
        written[name] = months / f"{name}.parquet"
        rows.to_parquet(written[name], index=False)
    return SimpleNamespace(**written, holdout_rows=joined[is_holdout])


@pytest.fixture(scope="session")
def trained(tables: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    folder = tmp_path_factory.mktemp("trained")
    result = call("train", "--input", f"training={tables.training}", cwd=folder)
    return SimpleNamespace(folder=folder / "penstock-run", result=result)


@pytest.fixture(scope="session")
def baseline(tables: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    folder = tmp_path_factory.mktemp("baseline")
    result = call("baseline", "--input", f"training={tables.training}", cwd=folder)
    return SimpleNamespace(folder=folder / "penstock-run", result=result)
