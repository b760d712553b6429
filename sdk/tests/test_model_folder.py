"""Saving a model: the signature that is inferred, the round trip, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.svm import LinearSVC

from penstock.model_folder import input_columns, load_model
from penstock.training import Run, RunError, run

ROWS = pd.DataFrame(
    {
        "carrier": ["UA", None, "B6", "AA"],
        "hour": [5, 6, 7, 8],
        "wind": [1.5, np.nan, 2.5, 0.0],
        "weekend": [True, False, True, False],
        "small": np.array([1, 2, 3, 4], dtype="int32"),
        "half": np.array([1, 2, 3, 4], dtype="float32"),
        "maybe": pd.array([1, None, 3, 4], dtype="Int64"),
        "text": pd.array(["a", None, "c", "d"], dtype="string"),
    }
)


@pytest.fixture
def job(tmp_path: Path) -> Run:
    return run(environ={}, directory=tmp_path)


def test_every_column_has_its_datatype_and_the_folder_is_in_the_output(job: Run) -> None:
    folder = job.save_model(DummyClassifier().fit(ROWS, [0, 1, 0, 0]), example=ROWS)
    assert folder == job.output_dir / "model"
    assert sorted(path.name for path in folder.iterdir()) == ["model.joblib", "signature.json"]
    signature = json.loads((folder / "signature.json").read_text())
    assert {column["name"]: column["datatype"] for column in signature["inputs"]} == {
        "carrier": "BYTES",
        "hour": "INT64",
        "wind": "FP64",
        "weekend": "BOOL",
        "small": "INT32",
        "half": "FP32",
        "maybe": "INT64",
        "text": "BYTES",
    }
    assert signature["framework"] == "sklearn"
    assert signature["format"] == "joblib"


def test_outputs_follow_from_what_the_model_can_say(job: Run) -> None:
    def outputs(model: object) -> tuple[object, object]:
        job.save_model(model, example=ROWS[["hour"]])
        _, signature = load_model(job.output_dir)
        return signature["outputs"], signature["classes"]

    hour = ROWS[["hour"]]
    label = {"name": "label", "datatype": "INT64", "shape": [-1]}
    probability = {"name": "probability", "datatype": "FP64", "shape": [-1]}
    assert outputs(DummyClassifier().fit(hour, [0, 1, 0, 1])) == ([probability, label], [0, 1])
    assert outputs(DummyClassifier().fit(hour, list("abca"))) == (
        [{**probability, "shape": [-1, 3]}, {**label, "datatype": "BYTES"}],
        ["a", "b", "c"],
    )
    assert outputs(LinearSVC().fit(hour, [0, 1, 0, 1])) == ([label], [0, 1])
    prediction = {"name": "prediction", "datatype": "FP64", "shape": [-1]}
    assert outputs(DummyRegressor().fit(hour, [0.5, 1, 2, 3])) == ([prediction], [])
    two = np.ones((4, 2))
    assert outputs(DummyRegressor().fit(hour, two)) == ([{**prediction, "shape": [-1, 2]}], [])


def test_a_saved_model_answers_as_the_one_in_memory(job: Run) -> None:
    model = DummyClassifier(strategy="prior").fit(ROWS, [0, 1, 0, 0])
    folder = job.save_model(model, example=ROWS)
    for path in (folder, job.output_dir):
        loaded, signature = load_model(path)
        assert input_columns(signature) == list(ROWS.columns)
        assert (loaded.predict_proba(ROWS) == model.predict_proba(ROWS)).all()


@pytest.mark.parametrize(
    ("example", "said"),
    [
        (pd.DataFrame({"when": pd.to_datetime(["2013-01-01"])}), "column 'when' is datetime64"),
        (pd.DataFrame({"c": pd.Categorical(["a"])}), "column 'c' is category"),
        (pd.DataFrame({"mixed": ["a", 1]}), "column 'mixed' holds objects"),
        (pd.DataFrame({1: [1]}), "column names must be texts"),
        (pd.DataFrame({"hour": []}), "at least one row"),
        (np.ones((2, 2)), "must be a pandas DataFrame"),
    ],
)
def test_an_example_that_no_tensor_carries_is_refused_and_nothing_is_written(
    job: Run, example: object, said: str
) -> None:
    with pytest.raises(RunError, match=said):
        job.save_model(DummyClassifier().fit([[1], [2]], [0, 1]), example=example)
    assert not (job.output_dir / "model").exists()


def test_a_model_that_does_not_take_the_example_is_refused_where_it_was_trained(job: Run) -> None:
    model = LinearSVC().fit(ROWS[["hour"]], [0, 1, 0, 1])
    with pytest.raises(RunError, match="the model does not take the example"):
        job.save_model(model, example=ROWS[["hour", "small"]])


def test_a_folder_without_a_model_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"is no model folder: it has no signature\.json"):
        load_model(tmp_path)
