"""The rules of the datasets service: what a request and a registration lead to."""

from datetime import UTC, datetime

import pytest

from penstock_chassis.errors import Retry
from penstock_chassis.folders import FolderEntry
from penstock_chassis.message import Recorded
from penstock_datasets.domain.rules import (
    Parent,
    check_request,
    decide_registered,
    is_version_open,
    merge,
    parent_of,
)
from penstock_datasets.domain.state import State, evolve
from penstock_datasets.errors import RefusedError
from penstock_schemas import (
    DatasetProfiled,
    DatasetRegistered,
    DatasetRejected,
    DatasetRequested,
    Event,
    ObjectRef,
)


def ref(letter: str, kind: str = "folder") -> ObjectRef:
    digest = "blake3:" + letter * 64
    return ObjectRef.model_validate(
        {"uri": f"s3://penstock/{letter}", "digest": digest, "size_bytes": 1, "kind": kind}
    )


def at(number: int, event: Event, cause: str | None = None, namespace: str = "team") -> Recorded:
    return Recorded(
        event=event,
        namespace=namespace,
        sequence=number,
        time=datetime(2026, 1, 1, tzinfo=UTC),
        id=f"m{number}",
        source="test",
        correlation_id="c",
        causation_id=cause,
    )


def registered(letter: str) -> DatasetRegistered:
    manifest = ref(letter)
    return DatasetRegistered(
        dataset="flights",
        dataset_version=manifest.digest,
        manifest=manifest,
        files=1,
        size_bytes=1,
    )


def profiled(letter: str) -> DatasetProfiled:
    return DatasetProfiled(
        dataset="flights",
        dataset_version=ref(letter).digest,
        manifest=ref(letter),
        tables=(),
        profile=ref("e", "file"),
        profiler="p1",
        seconds=0,
    )


def requested(*paths: str, extends: str | None = None) -> DatasetRequested:
    files = [{"path": path, "uri": "s3://landing/x"} for path in paths or ("a.parquet",)]
    return DatasetRequested.model_validate(
        {"dataset": "flights", "files": files, "extends": extends}
    )


def folded(*messages: Recorded) -> State:
    state = State()
    for message in messages:
        state = evolve(state, message)
    return state


def refused(request: str, letter: str) -> DatasetRejected:
    return DatasetRejected(
        dataset="flights", dataset_version=ref(letter).digest, request=request, reason="bad"
    )


def test_latest_is_the_newest_version_that_is_not_broken() -> None:
    broken = at(3, refused("m2", "b"))
    state = folded(at(1, registered("a")), at(2, registered("b")), broken)
    ask = at(4, requested(extends="latest"))
    assert parent_of(state, ask) == Parent(ref("a").digest, ref("a"))
    state = evolve(state, at(5, registered("b")))
    assert parent_of(state, ask) == Parent(ref("b").digest, ref("b"))


def test_a_version_of_another_namespace_cannot_be_extended() -> None:
    state = folded(at(1, registered("a"), namespace="other"))
    with pytest.raises(RefusedError) as caught:
        parent_of(state, at(2, requested(extends="latest")))
    assert caught.value.field == "extends"


def test_a_request_is_registered_once_even_after_a_newer_version() -> None:
    ask = at(2, requested(extends="latest"))
    state = folded(at(1, registered("a")), ask)
    parent = parent_of(state, ask)
    [event] = decide_registered(state, ask, parent, ref("b"), 2)
    assert isinstance(event, DatasetRegistered)
    assert event.parent == ref("a").digest
    state = evolve(evolve(state, at(3, event, cause=ask.id)), at(4, registered("c")))
    assert decide_registered(state, ask, parent_of(state, ask), ref("d"), 3) == []


def test_files_merged_with_an_older_latest_are_merged_anew() -> None:
    ask = at(2, requested(extends="latest"))
    state = folded(at(1, registered("a")), ask)
    parent = parent_of(state, ask)
    with pytest.raises(Retry):
        decide_registered(evolve(state, at(3, registered("c"))), ask, parent, ref("b"), 2)


def test_a_version_that_is_there_is_not_registered_again() -> None:
    ask = at(2, requested())
    state = folded(at(1, registered("a")), ask)
    assert decide_registered(state, ask, None, ref("a"), 1) == []


def test_a_version_is_profiled_once_by_each_profiler() -> None:
    message = at(1, registered("a"))
    state = folded(message)
    assert is_version_open(state, message, "p1")
    state = evolve(state, at(2, profiled("a")))
    assert not is_version_open(state, message, "p1")
    assert is_version_open(state, message, "p2")


def test_a_false_registration_hides_no_sound_version() -> None:
    false = registered("a").model_copy(update={"manifest": ref("c")})
    state = folded(
        at(1, registered("a")), at(2, profiled("a")), at(3, false), at(4, refused("m3", "a"))
    )
    ask = at(5, requested(extends="latest"))
    assert parent_of(state, ask) == Parent(ref("a").digest, ref("a"))


@pytest.mark.parametrize("path", ["../a.parquet", "/a.parquet", "-x.parquet", "a\\b.parquet"])
def test_a_path_that_no_version_may_hold_is_refused_by_its_number(path: str) -> None:
    with pytest.raises(RefusedError) as caught:
        check_request(requested("good.parquet", path))
    assert caught.value.field == "files.1.path"
    assert caught.value.fix


def test_a_path_asked_for_twice_is_refused() -> None:
    with pytest.raises(RefusedError, match="twice"):
        check_request(requested("a.parquet", "a.parquet"))


def test_a_file_taken_in_replaces_the_kept_one_of_its_path() -> None:
    old, other = FolderEntry("a", 1, ref("a").digest), FolderEntry("b", 1, ref("b").digest)
    new = FolderEntry("a", 2, ref("c").digest)
    assert merge([old, other], [new]) == [new, other]
    with pytest.raises(RefusedError, match="both"):
        merge([old], [FolderEntry("A", 1, ref("c").digest)])
