"""The codec of inference requests and answers."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_serving.errors import InvalidModel, InvalidRequest, ServingError, Unsupported
from penstock_serving.oip import (
    Signature,
    TensorSpec,
    decode_infer_request,
    encode_infer_response,
    encode_metadata,
    parse_signature,
)

SIGNATURE = Signature(
    inputs=(
        TensorSpec("distance", "FP64"),
        TensorSpec("hour", "INT8"),
        TensorSpec("carrier", "BYTES"),
        TensorSpec("holiday", "BOOL"),
    ),
    outputs=(TensorSpec("probability", "FP64"), TensorSpec("label", "INT64")),
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "FP64": st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-99, 99),
    "INT8": st.integers(-128, 127),
    "BYTES": st.none() | st.text(st.characters(exclude_categories=["Cs"])),
    "BOOL": st.booleans(),
}


def tensor(name: str, datatype: str, data: list[Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [len(data)], "data": data, **more}


def one_row(**changes: dict[str, Any]) -> dict[str, Any]:
    tensors = {
        "distance": tensor("distance", "FP64", [1.5]),
        "hour": tensor("hour", "INT8", [7]),
        "carrier": tensor("carrier", "BYTES", ["UA"]),
        "holiday": tensor("holiday", "BOOL", [False]),
    }
    return {"inputs": list((tensors | changes).values())}


def decode(body: Any, signature: Signature = SIGNATURE) -> Any:
    return decode_infer_request(json.dumps(body).encode(), signature)


@st.composite
def tables(draw: st.DrawFn) -> list[list[Any]]:
    rows = draw(st.integers(1, 6))
    columns = (VALUES[spec.datatype] for spec in SIGNATURE.inputs)
    return [draw(st.lists(values, min_size=rows, max_size=rows)) for values in columns]


@given(tables(), st.data())
def test_any_valid_table_comes_back_in_the_order_of_the_signature(
    columns: list[list[Any]], data: st.DataObject
) -> None:
    tensors = []
    for spec, column in zip(SIGNATURE.inputs, columns, strict=True):
        entry = tensor(spec.name, spec.datatype, column)
        form = data.draw(st.sampled_from(["flat", "flat [n, 1]", "nested"]))
        if form != "flat":
            entry["shape"] = [len(column), 1]
        if form == "nested":
            entry["data"] = [[value] for value in column]
        tensors.append(entry)
    shuffled = data.draw(st.permutations(tensors))
    request = decode({"id": "42", "inputs": shuffled})
    assert request.columns == columns
    assert (request.rows, request.id) == (len(columns[0]), "42")
    assert request.outputs == ("probability", "label")


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(
        st.sampled_from(["inputs", "outputs", "name", "shape", "data", "datatype", "id"]), inner
    ),
))  # fmt: skip
def test_any_json_is_decoded_or_refused_never_a_crash(body: Any) -> None:
    with pytest.raises(ServingError):
        decode(body)


@given(st.binary())
def test_any_bytes_are_refused_never_a_crash(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        decode_infer_request(body, SIGNATURE)


@given(st.data())
def test_one_wrong_field_is_refused_by_the_name_of_its_input(data: st.DataObject) -> None:
    body = one_row()
    victim = data.draw(st.sampled_from(body["inputs"]))
    field = data.draw(st.sampled_from(["shape", "datatype", "data"]))
    wrong: list[Any] = [None, 7, "x", [], [1, 2], [[1, 2]], [[]], [{}], {}]
    victim[field] = data.draw(st.sampled_from(wrong))
    with pytest.raises(InvalidRequest, match=victim["name"]):
        decode(body)


REFUSALS: list[tuple[str, Any, str]] = [
    ("not an object", [], 'must be a JSON object with "inputs"'),
    ("no inputs", {}, '"inputs" must be a list'),
    ("an id that is a number", {**one_row(), "id": 7}, '"id" must be a string'),
    ("a missing column", {"inputs": one_row()["inputs"][:2]}, '"carrier", "holiday"'),
    ("an unknown column", one_row(x=tensor("altitude", "FP64", [1])), '"altitude".*it takes "dist'),
    ("a column given twice", one_row(x=tensor("hour", "INT8", [1])), '"hour" is given twice'),
    ("another datatype", one_row(hour=tensor("hour", "INT64", [1])), 'send "datatype": "INT8"'),
    ("a value out of range", one_row(hour=tensor("hour", "INT8", [128])), "128 in row 0.*-128"),
    ("a null in an integer", one_row(hour=tensor("hour", "INT8", [None])), "no null"),
    ("true for a number", one_row(distance=tensor("distance", "FP64", [True])), "row 0 is true"),
    ("a number for a string", one_row(carrier=tensor("carrier", "BYTES", [5])), "send strings"),
    ("columns of different lengths", one_row(hour=tensor("hour", "INT8", [1, 2])), "number of"),
    ("no rows", one_row(hour=tensor("hour", "INT8", [])), "at least one row"),
    ("a matrix", one_row(hour={**tensor("hour", "INT8", [1, 2]), "shape": [1, 2]}), r"\[n, 1\]"),
    ("an unknown output", {**one_row(), "outputs": [{"name": "odds"}]}, 'it gives "probability"'),
    ("an output asked for twice", {**one_row(), "outputs": [{"name": "label"}] * 2}, "twice"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "message"), [r[1:] for r in REFUSALS], ids=[r[0] for r in REFUSALS]
)
def test_a_refusal_names_the_input_and_the_fix(body: Any, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        decode(body)


def test_nan_in_the_json_is_refused_with_the_advice_to_send_null() -> None:
    with pytest.raises(InvalidRequest, match="send null, not NaN"):
        decode(one_row(distance=tensor("distance", "FP64", [float("nan")])))


def test_binary_tensors_are_refused_as_unsupported() -> None:
    sized = tensor("hour", "INT8", [1], parameters={"binary_data_size": 1})
    with pytest.raises(Unsupported, match="hour"):
        decode(one_row(hour=sized))
    asked = [{"name": "label", "parameters": {"binary_data": True}}]
    with pytest.raises(Unsupported, match="label"):
        decode({**one_row(), "outputs": asked})


def test_outputs_are_given_as_asked_for_and_in_that_order() -> None:
    body = {**one_row(), "outputs": [{"name": "label"}, {"name": "probability"}]}
    assert decode(body).outputs == ("label", "probability")


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_floats_keep_their_bits_in_an_answer(values: list[float]) -> None:
    answer = encode_infer_response(
        model_name="delays",
        model_version="3",
        signature=SIGNATURE,
        names=("probability",),
        values=[values],
        rows=len(values),
        request_id="a",
    )
    content = json.loads(answer)
    assert [v.hex() for v in content["outputs"][0]["data"]] == [v.hex() for v in values]
    del content["outputs"][0]["data"]
    assert content == {
        "model_name": "delays",
        "model_version": "3",
        "id": "a",
        "outputs": [{"name": "probability", "datatype": "FP64", "shape": [len(values)]}],
    }


def test_a_signature_survives_its_json_form_and_metadata_shows_it() -> None:
    metadata = json.loads(encode_metadata("delays", ["1", "2"], SIGNATURE))
    assert metadata["versions"] == ["1", "2"]
    assert metadata["platform"] == "sklearn_joblib"
    assert parse_signature(json.dumps(metadata).encode()) == SIGNATURE


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (b"nope", "not JSON"),
        (b"[]", "one JSON object"),
        (b'{"inputs": []}', '"inputs" must be a list'),
        (b'{"inputs": [{"name": "a", "datatype": "FLOAT"}]}', "'FLOAT'; known are"),
        (b'{"inputs": [{"datatype": "FP64"}]}', 'needs a "name"'),
        (b'{"inputs": [{"name": "a", "datatype": "FP64", "shape": [-1, 3]}]}', "one column"),
        (b'{"framework": "torch"}', "'torch' with format 'joblib' is not served"),
    ],
)
def test_a_bad_signature_is_refused_by_field(document: bytes, message: str) -> None:
    with pytest.raises(InvalidModel, match=message):
        parse_signature(document)
