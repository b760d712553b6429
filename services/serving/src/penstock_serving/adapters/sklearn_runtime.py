"""scikit-learn models: a folder with `model.joblib` and `signature.json` becomes a function.

The estimator gets exactly what it gets offline: one DataFrame with the signature's columns in
order, floats as float64/float32 with NaN for missing, strings as objects with None for missing.
So the answers are those of `estimator.predict` and `predict_proba` on the same rows.
Loading runs the code that the file names: only digests that the registry vouches for come here.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.pipeline import Pipeline

from penstock_serving.adapters.model_folder import MODEL_FILE, read_signature
from penstock_serving.errors import InvalidModel
from penstock_serving.oip.signature import FLOATS, Signature, TensorSpec

PROBABILITY_OUTPUTS = frozenset({"probability", "probabilities"})
"""Outputs of these names come from `predict_proba`, all others from `predict`."""


class SklearnModel:
    """A loaded estimator and its signature."""

    def __init__(self, estimator: Any, signature: Signature, notes: Sequence[str] = ()) -> None:
        self.signature = signature
        self.notes = list(notes)
        self._estimator = estimator
        wanted = {_method(spec) for spec in signature.outputs}
        for method in wanted:
            if not hasattr(estimator, method):
                raise InvalidModel(
                    f"signature.json promises an output of {method}, which the"
                    f" {type(estimator).__name__} in {MODEL_FILE} does not have"
                )

    def predict(
        self, columns: Sequence[Sequence[Any]], names: Sequence[str]
    ) -> dict[str, npt.NDArray[Any]]:
        """Outputs by name for the given columns (in the signature's order), one row per element."""
        specs = [self.signature.output(name) for name in names]
        rows = len(columns[0])
        results = self._run(self._frame(columns), {_method(spec) for spec in specs})
        return {spec.name: _shaped(results[_method(spec)], spec, rows) for spec in specs}

    def warm_up(self) -> None:
        """Predict one neutral row, so that lazy imports and allocations are paid before traffic.

        A model may rightly refuse a neutral row; that is noted and no reason not to serve.
        """
        row = [[_neutral(spec)] for spec in self.signature.inputs]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.predict(row, self.signature.output_names)
        except Exception as error:  # noqa: BLE001 the model's own code may raise anything
            self.notes.append(f"warm-up row refused: {type(error).__name__}: {error}")

    def _frame(self, columns: Sequence[Sequence[Any]]) -> pd.DataFrame:
        inputs = zip(self.signature.inputs, columns, strict=True)
        return pd.DataFrame({spec.name: _array(column, spec) for spec, column in inputs})

    def _run(self, frame: pd.DataFrame, methods: set[str]) -> dict[str, Any]:
        if len(methods) == 1 or type(self._estimator) is not Pipeline:
            return {method: getattr(self._estimator, method)(frame) for method in methods}
        # What Pipeline.predict and Pipeline.predict_proba both do first is done once.
        features: Any = frame
        for _, _, step in self._estimator._iter(with_final=False):
            features = step.transform(features)
        final = self._estimator.steps[-1][1]
        return {method: getattr(final, method)(features) for method in methods}


def load(model_dir: Path) -> SklearnModel:
    """Load a model folder; raises `InvalidModel` with what is wrong in it."""
    signature = read_signature(model_dir)
    path = model_dir / MODEL_FILE
    if not path.is_file():
        raise InvalidModel(f"no {MODEL_FILE} in the model")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            estimator = joblib.load(path)
        except Exception as error:
            raise InvalidModel(
                f"{MODEL_FILE} does not load: {type(error).__name__}: {error}"
            ) from error
    notes = dict.fromkeys(str(warning.message).splitlines()[0] for warning in caught)
    return SklearnModel(estimator, signature, list(notes))


def _method(spec: TensorSpec) -> str:
    return "predict_proba" if spec.name in PROBABILITY_OUTPUTS else "predict"


def _array(column: Sequence[Any], spec: TensorSpec) -> npt.NDArray[Any]:
    if spec.datatype == "BYTES":
        array = np.empty(len(column), dtype=object)
        array[:] = column
        return array
    return np.array(column, dtype=_DTYPES[spec.datatype])  # None becomes NaN in floats


def _neutral(spec: TensorSpec) -> Any:
    if spec.datatype == "BYTES":
        return None
    if spec.datatype == "BOOL":
        return False
    return 0.0 if spec.datatype in FLOATS else 0


_DTYPES: dict[str, Any] = {
    "FP32": np.float32,
    "FP64": np.float64,
    "BOOL": np.bool_,
    **{f"INT{bits}": np.dtype(f"int{bits}") for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": np.dtype(f"uint{bits}") for bits in (8, 16, 32, 64)},
}


def _shaped(result: Any, spec: TensorSpec, rows: int) -> npt.NDArray[Any]:
    array = np.asarray(result)
    if spec.name in PROBABILITY_OUTPUTS and len(spec.shape) == 1:
        if array.ndim != 2 or array.shape[1] != 2:
            raise InvalidModel(
                f'output "{spec.name}" has shape [-1], which is for two classes; the model gives'
                f" {array.shape[1:]}: declare shape [-1, k]"
            )
        array = array[:, 1]  # the probability of the second (positive) class
    expected = (rows, *spec.shape[1:])
    if array.shape != expected:
        raise InvalidModel(
            f'output "{spec.name}" should have shape {expected}; the model gave {array.shape}'
        )
    if spec.datatype == "BYTES":
        return array.astype(str).astype(object)
    try:
        return array.astype(_DTYPES[spec.datatype], casting="same_kind", copy=False)
    except TypeError as error:
        raise InvalidModel(
            f'output "{spec.name}" is declared {spec.datatype}; the model gave {array.dtype}'
        ) from error
