"""A model's signature: the tensors that it takes (one per column) and gives back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from penstock_serving.errors import InvalidModel

FLOATS = frozenset({"FP32", "FP64"})
INTEGER_BOUNDS: Mapping[str, tuple[int, int]] = {
    **{f"INT{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": (0, 2**bits - 1) for bits in (8, 16, 32, 64)},
}
DATATYPES = FLOATS | INTEGER_BOUNDS.keys() | {"BOOL", "BYTES"}
"""FP16 is missing on purpose: the protocol gives it no JSON form."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One tensor; `shape` holds -1 where the number of rows stands."""

    name: str
    datatype: str
    shape: tuple[int, ...] = (-1,)

    def describe(self) -> dict[str, Any]:
        """The form that the protocol's metadata has."""
        return {"name": self.name, "datatype": self.datatype, "shape": list(self.shape)}


@dataclass(frozen=True, slots=True)
class Signature:
    """The contract of one model version, as its `signature.json` states it."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    platform: str = "sklearn_joblib"
    input_index: Mapping[str, int] = field(init=False, compare=False, repr=False)
    output_names: tuple[str, ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "input_index", {t.name: i for i, t in enumerate(self.inputs)})
        object.__setattr__(self, "output_names", tuple(t.name for t in self.outputs))

    def output(self, name: str) -> TensorSpec:
        """The output of that name, which must be one of `output_names`."""
        return self.outputs[self.output_names.index(name)]


def parse_signature(document: bytes) -> Signature:
    """Read a `signature.json`; raises `InvalidModel` naming the field that is wrong."""
    try:
        content = orjson.loads(document)
    except orjson.JSONDecodeError as error:
        raise InvalidModel(f"signature.json is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise InvalidModel("signature.json must hold one JSON object")
    framework, form = content.get("framework", "sklearn"), content.get("format", "joblib")
    if (framework, form) != ("sklearn", "joblib"):
        raise InvalidModel(
            f"signature.json: framework {framework!r} with format {form!r} is not served;"
            ' supported is "sklearn" with "joblib"'
        )
    return Signature(
        inputs=_tensors(content, "inputs"),
        outputs=_tensors(content, "outputs"),
        platform=f"{framework}_{form}",
    )


def _tensors(content: dict[str, Any], key: str) -> tuple[TensorSpec, ...]:
    entries = content.get(key)
    if not isinstance(entries, list) or not entries:
        raise InvalidModel(f'signature.json: "{key}" must be a list of at least one tensor')
    tensors = tuple(_tensor(entry, f"{key}[{position}]") for position, entry in enumerate(entries))
    names = [tensor.name for tensor in tensors]
    if len(set(names)) != len(names):
        raise InvalidModel(f'signature.json: "{key}" names the same tensor twice')
    if key == "inputs" and any(tensor.shape != (-1,) for tensor in tensors):
        raise InvalidModel('signature.json: every input is one column and has "shape": [-1]')
    return tensors


def _tensor(entry: Any, where: str) -> TensorSpec:
    if not isinstance(entry, dict):
        raise InvalidModel(f"signature.json: {where} must be an object")
    name, datatype, shape = entry.get("name"), entry.get("datatype"), entry.get("shape", [-1])
    if not isinstance(name, str) or not name:
        raise InvalidModel(f'signature.json: {where} needs a "name"')
    if datatype not in DATATYPES:
        raise InvalidModel(
            f"signature.json: {where} ({name!r}) has datatype {datatype!r};"
            f" known are {', '.join(sorted(DATATYPES))}"
        )
    if (
        not isinstance(shape, list)
        or not 1 <= len(shape) <= 2
        or not all(type(size) is int for size in shape)
        or shape[0] != -1
        or any(size < 1 for size in shape[1:])
    ):
        raise InvalidModel(f"signature.json: {where} ({name!r}) needs shape [-1] or [-1, k]")
    return TensorSpec(name=name, datatype=datatype, shape=tuple(shape))
