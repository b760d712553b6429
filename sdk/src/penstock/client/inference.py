"""Columns to an Open Inference Protocol v2 request, and an answer back to columns. Pure."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from penstock.client.errors import PenstockError, Refused


class Prediction(dict[str, list[Any]]):
    """The outputs by name, one element a row, with the version of the model that answered."""

    def __init__(self, outputs: Mapping[str, list[Any]], model: str, model_version: str) -> None:
        super().__init__(outputs)
        self.model = model
        self.model_version = model_version


def inference_request(metadata: Mapping[str, Any], table: Any) -> dict[str, Any]:
    """The request for `table`, a DataFrame or a mapping of columns, as the model's metadata asks.

    Columns that the model does not take are left out. Raises `Refused` naming a column that is
    missing, of another length, or that does not fit its datatype.
    """
    columns = _columns(table)
    inputs, rows = [], None
    for tensor in metadata.get("inputs", ()):
        name, datatype = tensor["name"], tensor["datatype"]
        if name not in columns:
            raise Refused(
                f"the model takes a column {name!r}, which is not given",
                field=name,
                hint=f"give all of {', '.join(one['name'] for one in metadata['inputs'])}",
            )
        values = [_value(value, datatype, name) for value in columns[name]]
        if rows is not None and len(values) != rows:
            raise Refused(f"has {len(values)} rows where those before have {rows}", field=name)
        rows = len(values)
        inputs.append({"name": name, "datatype": datatype, "shape": [rows], "data": values})
    return {"inputs": inputs}


def prediction_of(answer: Mapping[str, Any]) -> Prediction:
    """The outputs as columns; a tensor of shape `[rows, k]` becomes lists of k a row."""
    outputs = {one["name"]: _shaped(one["data"], one["shape"]) for one in answer["outputs"]}
    return Prediction(
        outputs, str(answer.get("model_name", "")), str(answer.get("model_version", ""))
    )


def _columns(table: Any) -> Mapping[str, Sequence[Any]]:
    if isinstance(table, Mapping):
        return {str(name): _listed(column, str(name)) for name, column in table.items()}
    if hasattr(table, "columns") and hasattr(table, "__getitem__"):  # pandas, polars
        return {str(name): _listed(table[name], str(name)) for name in table.columns}
    raise PenstockError(
        f"a {type(table).__name__} is no table",
        hint="give a DataFrame, or a dict of columns: {'distance': [733.0, 1400.0]}",
    )


def _listed(column: Any, name: str) -> list[Any]:
    for method in ("tolist", "to_list", "to_pylist"):
        if hasattr(column, method):
            return list(getattr(column, method)())
    if isinstance(column, Sequence) and not isinstance(column, str | bytes):
        return list(column)
    raise Refused(f"{column!r} is one value, not a column", field=name, hint=f"[{column!r}]")


def _value(value: Any, datatype: str, name: str) -> Any:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return None
    if hasattr(value, "item"):  # a numpy scalar in a plain list
        value = value.item()
    if isinstance(value, float):
        if not math.isfinite(value):
            return None  # JSON has no NaN; the protocol's word for a missing value is null
        if datatype.startswith(("INT", "UINT")):
            if not value.is_integer():
                raise Refused(f"{value!r} is no whole number", field=name)
            return int(value)
    return value


def _shaped(data: list[Any], shape: Sequence[int]) -> list[Any]:
    if len(shape) < 2 or (data and isinstance(data[0], list)):
        return data
    width = math.prod(shape[1:])
    return [data[row * width : (row + 1) * width] for row in range(shape[0])]
