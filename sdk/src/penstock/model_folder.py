"""The folder in which a model travels: `model.joblib` and `signature.json`.

The signature is all that a server needs in order to check a request and answer it without knowing
the model: one Open Inference Protocol tensor of shape `[-1]` for each input column, in the order
that the model takes them, and the tensors that come back. It is inferred from an example and tried
on it, so that a model which cannot be served is refused where it was trained.

pandas, scikit-learn and joblib are imported when first needed. Loading a model runs code that is
in the file: load only what you or your platform saved.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from penstock.training import RunError

MODEL_FILE = "model.joblib"
SIGNATURE_FILE = "signature.json"
TRIED_ROWS = 16
"""Rows of the example on which the model is tried while it is saved."""

_DATATYPES = {
    "bool": "BOOL",
    **{f"int{bits}": f"INT{bits}" for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": f"UINT{bits}" for bits in (8, 16, 32, 64)},
    **{f"float{bits}": f"FP{bits}" for bits in (16, 32, 64)},
}


def save_model(folder: Path, model: Any, example: Any) -> Path:
    """Write a fitted scikit-learn estimator and its signature into `folder`; return `folder`.

    Input datatypes are those of the columns of `example`, a pandas DataFrame with at least one
    row. Outputs: a classifier with `predict_proba` gives `probability` (FP64; of the second class,
    shape `[-1]`, where there are two classes; else `[-1, classes]`) and `label`; one without gives
    `label`; anything else gives `prediction` (FP64). Raises RunError for columns that have no
    datatype (times, categories, mixed objects), and for a model that does not take the example.
    """
    import joblib  # noqa: PLC0415
    import sklearn  # noqa: PLC0415

    inputs = _inputs(example)
    outputs, classes = _outputs(model, example.head(TRIED_ROWS))
    signature = {
        "framework": "sklearn",
        "format": "joblib",
        "sklearn_version": sklearn.__version__,
        "inputs": inputs,
        "outputs": outputs,
        "classes": classes,
    }
    folder.mkdir(parents=True, exist_ok=True)
    joblib.dump(model, folder / MODEL_FILE)
    # The signature comes last: a folder that has one is whole.
    text = json.dumps(signature, indent=2) + "\n"
    (folder / SIGNATURE_FILE).write_text(text, encoding="utf-8")
    return folder


def load_model(path: Path) -> tuple[Any, dict[str, Any]]:
    """Return the estimator and the signature of a model folder, or of a job's output with one.

    Raises RunError where there is no model.
    """
    import joblib  # noqa: PLC0415

    folder = path if (path / SIGNATURE_FILE).exists() else path / "model"
    for name in (SIGNATURE_FILE, MODEL_FILE):
        if not (folder / name).is_file():
            raise RunError(f"{path} is no model folder: it has no {name}")
    signature = json.loads((folder / SIGNATURE_FILE).read_text(encoding="utf-8"))
    return joblib.load(folder / MODEL_FILE), signature


def input_columns(signature: dict[str, Any]) -> list[str]:
    """Return the names of the columns that the model takes, in order."""
    return [column["name"] for column in signature["inputs"]]


def _inputs(example: Any) -> list[dict[str, Any]]:
    import pandas as pd  # noqa: PLC0415

    if not isinstance(example, pd.DataFrame) or example.empty:
        raise RunError("save_model: example must be a pandas DataFrame with at least one row")
    names = list(example.columns)
    if len(set(names)) < len(names) or not all(isinstance(name, str) for name in names):
        raise RunError("save_model: the example's column names must be texts, each used once")
    return [{"name": name, "datatype": _datatype(example[name]), "shape": [-1]} for name in names]


def _datatype(column: Any) -> str:
    """Return the Open Inference Protocol's datatype of a pandas column."""
    from pandas.api import types  # noqa: PLC0415

    name = str(column.dtype).lower()  # pandas's nullable Int64 and Float64 lose their capital
    if name in _DATATYPES:
        return _DATATYPES[name]
    if types.is_object_dtype(column.dtype) or types.is_string_dtype(column.dtype):
        if all(isinstance(value, str) for value in column[column.notna()]):
            return "BYTES"
        raise RunError(f"save_model: column {column.name!r} holds objects that are not all text")
    raise RunError(
        f"save_model: column {column.name!r} is {column.dtype}, which no tensor carries: give the "
        "model numbers, booleans or text (times as numbers, categories as text)"
    )


def _outputs(model: Any, rows: Any) -> tuple[list[dict[str, Any]], list[Any]]:
    """Ask the model for each of its answers and describe what came; see `save_model`."""
    try:
        label = model.predict(rows)
        probability = model.predict_proba(rows) if hasattr(model, "predict_proba") else None
    except Exception as error:
        raise RunError(f"save_model: the model does not take the example: {error}") from error
    classes = getattr(model, "classes_", None)
    if classes is None:
        return [{"name": "prediction", "datatype": "FP64", "shape": [-1, *label.shape[1:]]}], []
    if not hasattr(classes, "dtype"):
        raise RunError("save_model: a classifier of several outputs at once cannot be served")
    outputs: list[dict[str, Any]] = []
    if probability is not None:
        shape = [-1] if len(classes) == 2 else [-1, len(classes)]
        outputs.append({"name": "probability", "datatype": "FP64", "shape": shape})
    datatype = _DATATYPES.get(str(classes.dtype), "BYTES")
    outputs.append({"name": "label", "datatype": datatype, "shape": [-1]})
    return outputs, classes.tolist()
