"""Training, the baseline and the gate's measurement, on January to March of the real data."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from penstock.model_folder import input_columns, load_model

FOLDER = Path(__file__).resolve().parents[1]


def evaluate(tmp_path: Path, **inputs: Path) -> dict[str, float]:
    """Run evaluate.py as on the platform: everything by environment variables."""
    environment = {
        "PENSTOCK_INPUTS": json.dumps({name: str(path) for name, path in inputs.items()}),
        "PENSTOCK_RESULT": str(tmp_path / "result.json"),
    }
    script = [sys.executable, "-W", "error", FOLDER / "evaluate.py"]
    subprocess.run(script, cwd=tmp_path, env=environment, check=True)
    return json.loads((tmp_path / "result.json").read_text())["metrics"]


def over_the_wire(rows: pd.DataFrame, signature: dict) -> pd.DataFrame:
    """Send columns as Open Inference Protocol JSON and build the frame that a server builds."""
    tensors = [
        {
            "name": column["name"],
            "datatype": column["datatype"],
            "shape": [len(rows)],
            "data": rows[column["name"]].astype(object).where(rows[column["name"]].notna(), None),
        }
        for column in signature["inputs"]
    ]
    text = json.dumps([tensor | {"data": list(tensor["data"])} for tensor in tensors])
    dtypes = {"BYTES": object, "FP64": "float64"}
    return pd.DataFrame(
        {t["name"]: pd.Series(t["data"], dtype=dtypes[t["datatype"]]) for t in json.loads(text)}
    )


def test_the_gate_sees_a_model_that_earns_its_promotion(
    trained: SimpleNamespace, baseline: SimpleNamespace, tables: SimpleNamespace, tmp_path: Path
) -> None:
    metrics = evaluate(
        tmp_path,
        candidate=trained.folder / "output" / "model",
        incumbent=baseline.folder / "output",
        holdout=tables.holdout,
    )
    assert metrics["candidate_auc"] > 0.68
    assert metrics["incumbent_auc"] == 0.5
    assert metrics["candidate_log_loss"] < metrics["incumbent_log_loss"]
    assert metrics["rows"] == len(tables.holdout_rows)
    on_time = 1 - tables.holdout_rows["late"].mean()
    assert metrics["incumbent_accuracy"] == pytest.approx(on_time)


def test_without_an_incumbent_only_the_candidate_is_measured(
    baseline: SimpleNamespace, tables: SimpleNamespace, tmp_path: Path
) -> None:
    metrics = evaluate(tmp_path, candidate=baseline.folder / "output", holdout=tables.holdout)
    assert set(metrics) == {"candidate_auc", "candidate_accuracy", "candidate_log_loss", "rows"}


def test_training_reports_its_auc_while_it_grows_and_at_its_end(trained: SimpleNamespace) -> None:
    reports = (trained.folder / "metrics.jsonl").read_text().splitlines()
    reports = [json.loads(line) for line in reports]
    assert [report["step"] for report in reports] == [20, 40, 60, 80]
    assert reports[-1]["metrics"]["auc"] == trained.result["auc"]
    assert set(trained.result) == {"auc", "accuracy", "log_loss"}
    assert reports[0]["time"] < reports[-1]["time"]


def test_both_models_take_the_same_columns_so_that_either_serves_the_same_clients(
    trained: SimpleNamespace, baseline: SimpleNamespace
) -> None:
    _, ours = load_model(trained.folder / "output")
    _, theirs = load_model(baseline.folder / "output")
    assert ours == theirs
    assert ours["classes"] == [0, 1]
    assert {"late", "event_timestamp"}.isdisjoint(input_columns(ours))


def test_predictions_from_wire_columns_equal_the_direct_ones_to_the_last_bit(
    trained: SimpleNamespace, tables: SimpleNamespace
) -> None:
    model, signature = load_model(trained.folder / "output")
    rows = tables.holdout_rows[input_columns(signature)]
    assert rows["wind_gust"].isna().any(), "the round trip must carry missing values"
    direct = model.predict_proba(rows)
    np.testing.assert_array_equal(model.predict_proba(over_the_wire(rows, signature)), direct)
    one = over_the_wire(rows.head(1), signature)
    np.testing.assert_array_equal(model.predict_proba(one), direct[:1])


def test_a_category_never_seen_or_missing_is_predicted_all_the_same(
    trained: SimpleNamespace, tables: SimpleNamespace
) -> None:
    model, signature = load_model(trained.folder / "output")
    rows = tables.holdout_rows[input_columns(signature)].head(50)
    never_seen = model.predict_proba(rows.assign(carrier="??", dest="ZZZ"))
    missing = model.predict_proba(rows.assign(carrier=None, dest=None))
    np.testing.assert_array_equal(never_seen, missing)
    assert np.isfinite(never_seen).all()


def test_parameters_reach_the_model_and_the_same_ones_give_the_same_model(
    trained: SimpleNamespace, tables: SimpleNamespace, tmp_path: Path
) -> None:
    params = {"max_iter": 12, "report_every": 8, "max_leaf_nodes": 7, "refit": False}
    environment = {
        "PENSTOCK_PARAMS": json.dumps(params),
        "PENSTOCK_INPUTS": json.dumps({"training": str(tables.training)}),
        "OMP_NUM_THREADS": "1",
    }
    script = [sys.executable, "-W", "error", FOLDER / "train.py"]
    said = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        done = subprocess.run(
            script, cwd=tmp_path / name, env=environment, check=True, capture_output=True
        )
        said.append(done.stdout)
    assert said[0] == said[1]
    assert [line.partition(b":")[0] for line in said[0].splitlines()] == [b"step 8", b"step 12"]
    model, signature = load_model(tmp_path / "a" / "penstock-run" / "output")
    again, _ = load_model(tmp_path / "b" / "penstock-run" / "output")
    assert model["boost"].n_iter_ == 12
    assert model["boost"].max_leaf_nodes == 7
    rows = tables.holdout_rows[input_columns(signature)]
    np.testing.assert_array_equal(model.predict_proba(rows), again.predict_proba(rows))
    # refit=false: what was measured on the training's last 15 % is the model that is saved.
    result = json.loads((tmp_path / "a" / "penstock-run" / "result.json").read_text())["metrics"]
    table = pd.read_parquet(tables.training).sort_values("event_timestamp", kind="stable")
    first, last = table["event_timestamp"].min(), table["event_timestamp"].max()
    later = table[table["event_timestamp"] >= last - (last - first) * 0.15]
    probability = model.predict_proba(later[input_columns(signature)])[:, 1]
    assert roc_auc_score(later["late"], probability) == pytest.approx(result["auc"], abs=1e-12)


def test_training_that_is_asked_to_stop_leaves_after_its_step_without_a_model(
    tables: SimpleNamespace, tmp_path: Path
) -> None:
    arguments = ["--input", f"training={tables.training}", "--param", "max_iter=100000"]
    command = [sys.executable, FOLDER / "train.py", *arguments, "--param", "report_every=5"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("step 5: auc=")
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate()
    assert process.returncode == 1
    assert "asked to stop" in said
    assert not (tmp_path / "penstock-run" / "result.json").exists()
    assert not (tmp_path / "penstock-run" / "output").exists()


def test_a_holdout_that_cannot_tell_models_apart_is_refused(
    baseline: SimpleNamespace, tables: SimpleNamespace, tmp_path: Path
) -> None:
    on_time = tables.holdout_rows[tables.holdout_rows["late"] == 0]
    on_time.to_parquet(tmp_path / "holdout.parquet", index=False)
    inputs = {"candidate": baseline.folder / "output", "holdout": tmp_path / "holdout.parquet"}
    arguments = [f"--input={name}={path}" for name, path in inputs.items()]
    done = subprocess.run(
        [sys.executable, FOLDER / "evaluate.py", *arguments],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "must have flights that were late" in done.stderr
