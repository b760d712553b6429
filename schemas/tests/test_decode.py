"""Reading payloads: tolerant of what is new, clear about what is wrong, never surprised."""

import json
import math
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_schemas import (
    InvalidEvent,
    JobFailed,
    JobPreempted,
    JobRequested,
    NodeRegistered,
    Resources,
    SchemaError,
    UnknownType,
    WebhookReceived,
    decode,
    event_class,
    event_types,
    upcaster,
)
from penstock_schemas.event import FAULT_LENGTH_MAX, FAULTS_LISTED_MAX, Event, check_upcasters

DEEP = "[" * 100_000
READABLE = [("node.registered", 1), ("node.registered", 2), ("webhook.received", 1)]


def test_version_1_of_node_registered_is_lifted_to_version_2() -> None:
    event = decode("node.registered", 1, b'{"node":"laptop","cpus":2,"gpus":1,"labels":{"a":"b"}}')
    assert event == NodeRegistered(
        node="laptop", resources=Resources(cpu=2, gpu=1), labels={"a": "b"}
    )


def test_version_1_of_node_registered_needs_only_its_name_and_cpus() -> None:
    event = decode("node.registered", 1, b'{"node":"laptop","cpus":0.5}')
    assert event == NodeRegistered(node="laptop", resources=Resources(cpu=0.5))


def test_version_1_names_its_own_field_where_one_is_missing() -> None:
    with pytest.raises(InvalidEvent, match="version 1 is not valid: cpus: Field required") as info:
        decode("node.registered", 1, b'{"node":"laptop"}')
    assert info.value.fields == (("cpus", "Field required"),)


@pytest.mark.parametrize("type", ["job.exploded", "job", "", "Job.requested", "x" * 10_000])
def test_an_unknown_type_is_refused_in_a_bounded_message(type: str) -> None:
    with pytest.raises(UnknownType, match="catalogue") as info:
        decode(type, 1, b"{}")
    assert len(str(info.value)) < 300


@pytest.mark.parametrize("version", [-1, 0, 3, 10**6])
def test_an_unknown_version_says_which_are_known(version: int) -> None:
    with pytest.raises(UnknownType, match=rf"no version {version} here; known are 1 to 2"):
        decode("node.registered", version, b"{}")


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"job": "Not A Name"}, "job"),
        ({"job": "trailing\n"}, "job"),
        ({"job": None}, "job"),
        ({"program": {"command": []}}, "program.command"),
        ({"program": {"command": ["a", ""]}}, "program.command.1"),
        ({"resources": {"cpu": -1}}, "resources.cpu"),
        ({"resources": {"cpu": "many"}}, "resources.cpu"),
        ({"max_attempts": 101}, "max_attempts"),
        ({"inputs": {"training": {"uri": "http://x/y"}}}, "inputs.training.uri"),
        ({"target": {"model": "m", "gate": {"min_gain": -1}}}, "target.gate.min_gain"),
    ],
)
def test_an_invalid_field_is_named_by_its_path(change: dict[str, Any], path: str) -> None:
    payload = json.dumps(JobRequested.example | change)
    with pytest.raises(InvalidEvent) as info:
        decode("job.requested", 1, payload)
    assert path in dict(info.value.fields)
    assert f"{path}: " in str(info.value)


@pytest.mark.parametrize(("type", "version"), READABLE)
@pytest.mark.parametrize(
    "payload",
    [
        *(b"", b"\xff\xfe", b"not json", b"null", b"[]", b'"text"', b"17", b"{", b'{"node":'),
        *(DEEP, DEEP.encode(), '{"node":"a","cpus":' + "1" * 5000 + "}", '{"node":"\udc80"}'),
        *('{"node":"a","cpus":"\\ud800"}', '{"node":"a","cpus":NaN}', '{"node":"a","cpus":1e999}'),
        *('{"node":"a","cpus":[]}', '{"node":{},"cpus":1}', '{"node":"a","cpus":1,"labels":7}'),
        '{"node":"a","cpus":1,"labels":[["k","v"]]}',
    ],
)
def test_what_cannot_be_read_is_always_an_invalid_event(
    type: str, version: int, payload: bytes | str
) -> None:
    with pytest.raises(InvalidEvent) as info:
        decode(type, version, payload)
    assert len(str(info.value)) < 1000


@given(st.sampled_from(READABLE), st.binary(max_size=64) | st.text(max_size=64))
def test_no_payload_escapes_as_another_error(kind: tuple[str, int], payload: bytes | str) -> None:
    with pytest.raises(SchemaError):
        decode(*kind, payload)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@given(st.fixed_dictionaries({"node": st.just("a"), "cpus": JSON, "labels": JSON}))
def test_an_old_version_is_read_or_refused_whatever_its_fields_hold(data: dict[str, Any]) -> None:
    try:
        event = decode("node.registered", 1, json.dumps(data))
    except InvalidEvent:
        return
    assert decode("node.registered", 2, event.payload()) == event


def test_a_payload_with_a_million_faults_is_refused_in_a_bounded_error() -> None:
    inputs = {f"{'x' * 500}{n}": 1 for n in range(1000)}
    with pytest.raises(InvalidEvent, match="and 1990 more") as info:
        decode("job.requested", 1, json.dumps(JobRequested.example | {"inputs": inputs}))
    assert len(info.value.fields) == FAULTS_LISTED_MAX
    assert all(len(text) <= FAULT_LENGTH_MAX for pair in info.value.fields for text in pair)
    assert len(str(info.value)) < 10_000


def test_unknown_fields_are_ignored_at_every_depth() -> None:
    known = decode("job.requested", 1, json.dumps(JobRequested.example))
    data = json.loads(json.dumps(JobRequested.example))
    data["colour"] = "blue"
    data["program"]["source"]["etag"] = [1]
    data["resources"]["tpu"] = 4
    assert decode("job.requested", 1, json.dumps(data)) == known


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_free_json_with_a_number_that_json_lacks_is_refused(number: str) -> None:
    payload = f'{{"webhook":"w","source":"s","delivery":"d","data":{{"deep":[1,{number}]}}}}'
    with pytest.raises(InvalidEvent, match="finite"):
        decode("webhook.received", 1, payload)


def test_free_json_with_a_number_that_json_lacks_cannot_be_said_either() -> None:
    with pytest.raises(ValueError, match="finite"):
        WebhookReceived(webhook="w", source="s", delivery="d", data=[math.nan])
    with pytest.raises(ValueError, match="finite"):
        JobRequested.model_validate(JobRequested.example | {"params": {"rate": math.inf}})


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("2026-11-24T10:00:30", datetime(2026, 11, 24, 10, 0, 30, tzinfo=UTC)),
        ("2026-11-24T12:00:30+02:00", datetime(2026, 11, 24, 10, 0, 30, tzinfo=UTC)),
    ],
)
def test_every_time_in_an_event_is_utc_and_can_be_compared(said: str, read: datetime) -> None:
    data = JobPreempted.example | {"deadline": said}
    event = decode("job.preempted", 1, json.dumps(data))
    assert isinstance(event, JobPreempted)
    assert event.deadline == read
    assert event.deadline.tzinfo is UTC


def test_a_time_that_has_no_utc_is_refused() -> None:
    data = JobPreempted.example | {"deadline": "0001-01-01T00:00:00+14:00"}
    with pytest.raises(InvalidEvent, match="deadline"):
        decode("job.preempted", 1, json.dumps(data))


def test_events_are_frozen() -> None:
    event = decode("job.failed", 1, json.dumps(JobFailed.example))
    with pytest.raises(ValueError, match="frozen"):
        event.attempt = 2  # type: ignore[attr-defined]


def test_a_second_class_for_a_type_is_a_defect() -> None:
    with pytest.raises(TypeError, match=r"two contracts claim the type 'job\.failed'"):
        type("Impostor", (Event,), {"type": "job.failed", "__module__": __name__})
    assert event_class("job.failed") is JobFailed


def test_a_second_upcaster_for_a_version_is_a_defect() -> None:
    with pytest.raises(TypeError, match=r"two upcasters lift node\.registered from version 1"):
        upcaster("node.registered", 1)(lambda old: old)


def test_every_version_has_a_way_up(monkeypatch: pytest.MonkeyPatch) -> None:
    check_upcasters()
    monkeypatch.setattr(event_class("job.failed"), "version", 2)
    with pytest.raises(TypeError, match=r"job\.failed has no upcaster from version 1"):
        check_upcasters()


def test_many_threads_may_decode_a_contract_for_the_first_time_at_once() -> None:
    """Validators are built at first use."""
    work = [(type, cls) for type, cls in event_types().items() for _ in range(4)]
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(
            lambda one: decode(one[0], one[1].version, json.dumps(one[1].example)), work
        )
        assert [type(event) for event in found] == [cls for _, cls in work]
