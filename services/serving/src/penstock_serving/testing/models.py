"""Small real models for tests, saved as the SDK saves them."""

import json
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

FLIGHT_INPUTS = [("hour", "INT64"), ("distance", "FP64"), ("wind", "FP32"), ("carrier", "BYTES")]
FLIGHT_OUTPUTS = [("probability", "FP64"), ("label", "INT64")]


def write_model_folder(
    folder: Path,
    estimator: Any,
    inputs: Sequence[tuple[str, str]],
    outputs: Sequence[tuple[str, str]],
) -> Path:
    """Write `model.joblib` and `signature.json` as the SDK does; pairs are (name, datatype)."""
    folder.mkdir(parents=True, exist_ok=True)
    joblib.dump(estimator, folder / "model.joblib")
    signature = {
        "framework": "sklearn",
        "format": "joblib",
        "inputs": [{"name": name, "datatype": datatype} for name, datatype in inputs],
        "outputs": [{"name": n, "datatype": datatype, "shape": [-1]} for n, datatype in outputs],
    }
    (folder / "signature.json").write_text(json.dumps(signature))
    return folder


def write_constant_model(folder: Path, value: float) -> Path:
    """A model that predicts `value` for every row of its one column `x`."""
    model = DummyRegressor(strategy="constant", constant=value)
    model.fit(pd.DataFrame({"x": [1.0]}), [value])
    return write_model_folder(folder, model, [("x", "FP64")], [("prediction", "FP64")])


class Unlucky:
    """An estimator of `x` with bad days, each brought on by a number: see the constants."""

    RAISES = 13.0
    HANGS = 666.0
    DIES = -1.0

    def predict(self, frame: pd.DataFrame) -> Any:
        """The column `x` itself, unless a number in it is unlucky."""
        values = frame["x"].to_numpy()
        if (values == self.DIES).any():
            os.kill(os.getpid(), signal.SIGKILL)
        if (values == self.HANGS).any():
            signal.pause()
        if (values == self.RAISES).any():
            raise ValueError("13 brings bad luck")
        return values


def write_unlucky_model(folder: Path) -> Path:
    """A folder with an `Unlucky` model."""
    return write_model_folder(folder, Unlucky(), [("x", "FP64")], [("prediction", "FP64")])


def flights(rows: int, seed: int) -> pd.DataFrame:
    """Rows with number and string columns in which values are missing, as in real ones."""
    random = np.random.default_rng(seed)
    distance = random.uniform(80.0, 5000.0, rows)
    distance[random.random(rows) < 0.1] = np.nan
    carriers = random.choice(np.array(["UA", "AA", "B6", None], dtype=object), rows)
    return pd.DataFrame(
        {
            "hour": random.integers(0, 24, rows),
            "distance": distance,
            "wind": random.uniform(0, 30, rows).astype(np.float32),
            "carrier": carriers,
        }
    )


@dataclass(frozen=True, slots=True)
class Trained:
    """A fitted pipeline and the folder that it was saved in."""

    estimator: Any
    folder: Path


def train_boosting(folder: Path) -> Trained:
    """Gradient boosting over an ordinal encoding; copes with missing numbers by itself."""
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = make_column_transformer((encoder, ["carrier"]), remainder="passthrough")
    return _train(make_pipeline(columns, HistGradientBoostingClassifier(max_iter=15)), folder)


def train_regression(folder: Path) -> Trained:
    """Logistic regression over one-hot columns; ignores the columns with missing numbers."""
    encoder = OneHotEncoder(handle_unknown="ignore")
    columns = make_column_transformer((encoder, ["hour", "carrier"]))
    return _train(make_pipeline(columns, LogisticRegression()), folder)


def _train(model: Any, folder: Path) -> Trained:
    frame = flights(400, seed=1)
    model.fit(frame, ((frame["hour"] > 15) ^ (frame["wind"] > 20)).astype(int))
    return Trained(model, write_model_folder(folder, model, FLIGHT_INPUTS, FLIGHT_OUTPUTS))


def infer_body(
    frame: pd.DataFrame, inputs: Sequence[tuple[str, str]], **more: Any
) -> dict[str, Any]:
    """The frame as an inference request, one tensor per column, null where a value is missing."""
    tensors = []
    for name, datatype in inputs:
        column = frame[name].astype(object)
        data = column.where(column.notna(), None).tolist()
        tensors.append({"name": name, "datatype": datatype, "shape": [len(data)], "data": data})
    return {"inputs": tensors, **more}
