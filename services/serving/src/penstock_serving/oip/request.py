"""Inference requests: JSON to columns, checked against the model's signature.

A column is a Python list with one element per row: float or int for FP tensors (None is a missing
value), int for INT and UINT, bool for BOOL, str for BYTES (None is a missing value). The checks
look at whole columns with C speed (`set(map(type, …))`) and search for the culprit only when
there is one.
"""

from dataclasses import dataclass
from types import NoneType
from typing import Any

import orjson

from penstock_serving.errors import InvalidRequest, Unsupported
from penstock_serving.oip.signature import FLOATS, INTEGER_BOUNDS, Signature, TensorSpec

Column = list[Any]

FP32_MAX = (2 - 2**-23) * 2.0**127
SHOWN_NAMES = 20
"""At most so many names are listed in one error."""

_ALLOWED: dict[str, frozenset[type]] = {
    **{name: frozenset({float, int, NoneType}) for name in FLOATS},
    **{name: frozenset({int}) for name in INTEGER_BOUNDS},
    "BOOL": frozenset({bool}),
    "BYTES": frozenset({str, NoneType}),
}
_WANTED = {
    **dict.fromkeys(FLOATS, "numbers, or null where the value is missing"),
    **dict.fromkeys(INTEGER_BOUNDS, "whole numbers without a decimal point, and no null"),
    "BOOL": "true or false, and no null",
    "BYTES": "strings, or null where the value is missing",
}


@dataclass(frozen=True, slots=True)
class InferRequest:
    """A valid request: the columns in the signature's order, each `rows` long."""

    id: str | None
    columns: list[Column]
    rows: int
    outputs: tuple[str, ...]


def decode_infer_request(body: bytes, signature: Signature) -> InferRequest:
    """Decode and check one request.

    Raises `InvalidRequest` (naming the input and the fix) or `Unsupported` (binary tensors).
    """
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(
            f"the body is not JSON: {error} (send null, not NaN, for a missing value)"
        ) from error
    if not isinstance(content, dict):
        raise InvalidRequest('the body must be a JSON object with "inputs"')
    identity = content.get("id")
    if identity is not None and not isinstance(identity, str):
        raise InvalidRequest('"id" must be a string')
    columns, rows = _inputs(content.get("inputs"), signature)
    outputs = _outputs(content.get("outputs"), signature)
    return InferRequest(identity, columns, rows, outputs)


def _inputs(entries: Any, signature: Signature) -> tuple[list[Column], int]:
    if not isinstance(entries, list) or not entries:
        raise InvalidRequest('"inputs" must be a list with one tensor per column of the model')
    columns: list[Column | None] = [None] * len(signature.inputs)
    rows, rows_of = -1, ""
    for position, entry in enumerate(entries):
        index = _find_input(entry, position, signature)
        spec = signature.inputs[index]
        if columns[index] is not None:
            raise InvalidRequest(f'input "{spec.name}" is given twice; send it once')
        column = _column(entry, spec)
        columns[index] = column
        if rows not in (-1, len(column)):
            raise InvalidRequest(
                f'input "{spec.name}" has {len(column)} rows but input "{rows_of}" has {rows};'
                " every input needs the same number of rows"
            )
        rows, rows_of = len(column), spec.name
    missing = [s.name for s, c in zip(signature.inputs, columns, strict=True) if c is None]
    if missing:
        raise InvalidRequest(
            f"missing input{'s' * (len(missing) > 1)} {_names(missing)};"
            " send one tensor for each (nulls in it where values are missing)"
        )
    return [column for column in columns if column is not None], rows


def _find_input(entry: Any, position: int, signature: Signature) -> int:
    if not isinstance(entry, dict):
        raise InvalidRequest(f"inputs[{position}] must be an object with name, shape, …, data")
    name = entry.get("name")
    index = signature.input_index.get(name) if isinstance(name, str) else None
    if index is None:
        known = _names([spec.name for spec in signature.inputs])
        raise InvalidRequest(
            f"inputs[{position}] names {_shown(name)}, which the model does not take;"
            f" it takes {known}"
        )
    return index


def _column(entry: dict[str, Any], spec: TensorSpec) -> Column:
    datatype = entry.get("datatype")
    if datatype != spec.datatype:
        raise InvalidRequest(
            f'input "{spec.name}" has datatype {_shown(datatype)};'
            f' send "datatype": "{spec.datatype}"'
        )
    if _wants_binary(entry):
        raise Unsupported(f'input "{spec.name}": binary tensors are not supported; send "data"')
    rows = _rows(entry.get("shape"), spec)
    data = entry.get("data")
    if not isinstance(data, list):
        raise InvalidRequest(f'input "{spec.name}" needs "data": a list with {rows} values')
    if data and type(data[0]) is list:
        data = _flatten(data, spec)
    if len(data) != rows:
        raise InvalidRequest(
            f'input "{spec.name}": shape says {rows} rows but data holds {len(data)} values'
        )
    _check_values(data, spec)
    return data


def _rows(shape: Any, spec: TensorSpec) -> int:
    valid = isinstance(shape, list) and 1 <= len(shape) <= 2 and all(type(n) is int for n in shape)
    if not valid or (len(shape) == 2 and shape[1] != 1):
        raise InvalidRequest(
            f'input "{spec.name}" has shape {_shown(shape)}; send [n] or [n, 1]: one value per row'
        )
    if shape[0] < 1:
        raise InvalidRequest(
            f'input "{spec.name}" has shape {_shown(shape)}; send at least one row'
        )
    rows: int = shape[0]
    return rows


def _flatten(data: list[Any], spec: TensorSpec) -> Column:
    for row, value in enumerate(data):
        if type(value) is not list or len(value) != 1:
            raise InvalidRequest(
                f'input "{spec.name}": row {row} of nested data must be a list of one value'
            )
    return [value[0] for value in data]


def _check_values(column: Column, spec: TensorSpec) -> None:
    allowed = _ALLOWED[spec.datatype]
    if not allowed.issuperset(map(type, column)):
        row = next(i for i, value in enumerate(column) if type(value) not in allowed)
        raise InvalidRequest(
            f'input "{spec.name}" is {spec.datatype} but row {row} is {_shown(column[row])};'
            f" send {_WANTED[spec.datatype]}"
        )
    if bounds := INTEGER_BOUNDS.get(spec.datatype):
        _check_bounds(column, spec, *bounds)
    elif spec.datatype == "FP32":
        _check_bounds(column, spec, -FP32_MAX, FP32_MAX)


def _check_bounds(column: Column, spec: TensorSpec, low: float, high: float) -> None:
    for row, value in enumerate(column):
        if value is not None and not low <= value <= high:
            raise InvalidRequest(
                f'input "{spec.name}": {_shown(value)} in row {row} does not fit {spec.datatype};'
                f" send values from {low} to {high}"
            )


def _outputs(entries: Any, signature: Signature) -> tuple[str, ...]:
    if entries is None or entries == []:
        return signature.output_names
    if not isinstance(entries, list):
        raise InvalidRequest('"outputs" must be a list of {"name": …}')
    names = []
    for position, entry in enumerate(entries):
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str) or name not in signature.output_names:
            raise InvalidRequest(
                f"outputs[{position}] names {_shown(name)}, which the model does not give;"
                f" it gives {_names(list(signature.output_names))}"
            )
        if _wants_binary(entry):
            raise Unsupported(f'output "{name}": binary tensors are not supported; ask for JSON')
        if name in names:
            raise InvalidRequest(f'output "{name}" is asked for twice; ask once')
        names.append(name)
    return tuple(names)


def _wants_binary(entry: dict[str, Any]) -> bool:
    parameters = entry.get("parameters")
    return isinstance(parameters, dict) and bool(
        parameters.get("binary_data") or "binary_data_size" in parameters
    )


def _names(names: list[str]) -> str:
    shown = ", ".join(f'"{name}"' for name in names[:SHOWN_NAMES])
    return shown if len(names) <= SHOWN_NAMES else f"{shown} and {len(names) - SHOWN_NAMES} more"


def _shown(value: Any) -> str:
    text = orjson.dumps(value).decode()
    return text if len(text) <= 80 else f"{text[:77]}..."
