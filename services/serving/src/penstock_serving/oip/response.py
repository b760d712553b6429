"""Answers: columns to JSON."""

from collections.abc import Sequence
from typing import Any

import orjson

from penstock_serving.oip.request import Column
from penstock_serving.oip.signature import Signature


def encode_infer_response(
    *,
    model_name: str,
    model_version: str,
    signature: Signature,
    names: Sequence[str],
    values: Sequence[Column],
    rows: int,
    request_id: str | None,
) -> bytes:
    """One answer; `values` are flat (row-major) and stand in the order of `names`.

    Floats are written with the fewest digits that read back to the same bits; NaN and infinity,
    which JSON lacks, become null.
    """
    outputs = []
    for name, data in zip(names, values, strict=True):
        spec = signature.output(name)
        outputs.append(
            {
                "name": name,
                "datatype": spec.datatype,
                "shape": [rows, *spec.shape[1:]],
                "data": data,
            }
        )
    answer: dict[str, Any] = {"model_name": model_name, "model_version": model_version}
    if request_id is not None:
        answer["id"] = request_id
    answer["outputs"] = outputs
    return orjson.dumps(answer)


def encode_metadata(model_name: str, versions: Sequence[str], signature: Signature) -> bytes:
    """The model's metadata document; `versions` are those that can be asked for now."""
    return orjson.dumps(
        {
            "name": model_name,
            "versions": list(versions),
            "platform": signature.platform,
            "inputs": [tensor.describe() for tensor in signature.inputs],
            "outputs": [tensor.describe() for tensor in signature.outputs],
        }
    )
