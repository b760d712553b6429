"""An event names objects of its own namespace alone."""

from typing import Any

import pytest

from penstock_schemas import (
    InvalidEvent,
    ObjectRef,
    check_own,
    check_references,
    event_types,
    is_own,
    references,
)

REF = {"uri": "s3://penstock/vision/blake3/9f/9f", "digest": "blake3:" + "9f" * 32, "size_bytes": 1}
NAMING = {
    "dataset.registered": ["manifest"],
    "features.requested": ["repository"],
    "job.requested": ["program.source", "inputs.data"],
    "experiment.requested": ["program.source", "inputs.data"],
    "job.succeeded": ["output"],
    "model.registered": ["artifact"],
    "promotion.requested": ["gate.program.source", "gate.inputs.data"],
}


def with_reference(type: str, field: str) -> Any:
    """An event of a type that names the object in this field."""
    contract = event_types()[type]
    document: dict[str, Any] = dict(contract.example)
    *path, last = field.split(".")
    place = document
    for part in path:
        place[part] = dict(place.get(part) or {})
        place = place[part]
    place[last] = REF
    if document.get("gate"):
        document["gate"].setdefault("program", {}).setdefault("command", ["{python}"])
        document["gate"].setdefault("metric", "auc")
    return contract.model_validate(document)


@pytest.mark.parametrize(
    ("type", "field"), [(type, field) for type, fields in NAMING.items() for field in fields]
)
def test_an_object_of_another_namespace_is_refused_by_its_field(type: str, field: str) -> None:
    event = with_reference(type, field)
    assert field in dict(references(event))
    check_references(event, "vision")
    with pytest.raises(InvalidEvent, match="no object of audio") as refused:
        check_references(event, "audio")
    assert refused.value.fields[0][0].endswith(".uri")


def test_every_contract_with_a_place_for_an_object_is_searched() -> None:
    for contract in event_types().values():
        schema = str(contract.model_json_schema())
        event = contract.model_validate(contract.example)
        assert ("ObjectRef" in schema) >= bool(list(references(event)))
        if "ObjectRef" in str(contract.example) or "s3://penstock/" in str(contract.example):
            assert list(references(event)) or contract.type == "dataset.requested", contract.type


@pytest.mark.parametrize(
    "key",
    [
        "audio/blake3/9f/9f",
        "vision",
        "vision/",
        "/audio/blake3/9f",
        "vision/../audio/9f",
        "vision/%2e%2e/audio/9f",
        "vision//9f",
        "vision/./9f",
        "%2Faudio/9f",
        "vision-2/blake3/9f",
        "Vision/blake3/9f",
        "?vision/blake3/9f",
        "#vision/blake3",
    ],
)
def test_no_spelling_of_a_key_leads_out_of_the_namespace(key: str) -> None:
    assert not is_own(f"s3://penstock/{key}", "vision")
    with pytest.raises(ValueError, match="another namespace"):
        check_own(f"s3://penstock/{key}", "vision", "penstock")


def test_other_buckets_have_no_namespaces() -> None:
    check_own("s3://landing/months/a.parquet", "vision", "penstock")
    assert ObjectRef.model_validate(REF).uri.startswith("s3://penstock/vision/")
