"""The rules of the features service: what is due, and what may be said about it."""

from datetime import UTC, datetime

import pytest

from penstock_chassis.message import Recorded
from penstock_features.domain.rules import Work, decide_done, due, refusal, sets_of
from penstock_features.domain.state import State, evolve
from penstock_features.domain.tables import group_by_table
from penstock_features.errors import FeaturesError, InvalidRequestError, RepositoryError
from penstock_schemas import (
    DatasetProfiled,
    Event,
    FeaturesMaterialized,
    FeaturesRequested,
    ObjectRef,
)


def ref(letter: str, kind: str = "folder") -> ObjectRef:
    digest = "blake3:" + letter * 64
    return ObjectRef.model_validate(
        {"uri": f"s3://penstock/{letter}", "digest": digest, "size_bytes": 1, "kind": kind}
    )


def at(number: int, event: Event, namespace: str = "team") -> Recorded:
    time = datetime(2026, 1, 1, tzinfo=UTC)
    return Recorded(event, namespace, number, time, f"m{number}", "test", "c")


def requested(repository: str = "f", holdout_days: float = 0) -> FeaturesRequested:
    return FeaturesRequested(
        features="lateness",
        dataset="flights",
        repository=ref(repository),
        feature_service="all",
        entity_table="flights",
        holdout_days=holdout_days,
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


def made(work: Work) -> FeaturesMaterialized:
    return FeaturesMaterialized(
        features="lateness",
        dataset="flights",
        dataset_version=work.version.digest,
        repository_digest=work.request.repository.digest,
        training=ref("d", "file"),
        training_rows=1,
        holdout_rows=0,
        columns={},
        seconds=0,
    )


def folded(*messages: Recorded) -> State:
    state = State()
    for message in messages:
        state = evolve(state, message)
    return state


def due_now(state: State) -> Work:
    work = due(state, "team", "lateness")
    assert work is not None
    return work


def test_nothing_is_due_before_both_a_request_and_a_profiled_version_are_there() -> None:
    assert due(folded(at(1, requested())), "team", "lateness") is None
    assert due(folded(at(1, profiled("a"))), "team", "lateness") is None
    other = folded(at(1, profiled("a"), "other"), at(2, requested()))
    assert due(other, "team", "lateness") is None


def test_the_newest_version_is_due_and_the_later_of_both_is_its_cause() -> None:
    first = due_now(folded(at(1, profiled("a")), at(2, requested())))
    assert (first.version.digest, first.cause.id) == (ref("a").digest, "m2")
    state = folded(at(1, profiled("a")), at(2, requested()), at(3, profiled("b")))
    assert (due_now(state).version.digest, due_now(state).cause.id) == (ref("b").digest, "m3")
    assert sets_of(state, "team", "flights") == ["lateness"]
    assert sets_of(state, "other", "flights") == []


def test_a_result_is_said_once_and_an_equal_request_makes_no_new_work() -> None:
    state = folded(at(1, profiled("a")), at(2, requested()))
    work = due_now(state)
    [event] = decide_done(state, work, made(work))
    state = evolve(state, at(3, event))
    assert decide_done(state, work, made(work)) == []
    assert due(evolve(state, at(4, requested())), "team", "lateness") is None


@pytest.mark.parametrize("change", [requested(repository="9"), requested(holdout_days=3)])
def test_another_request_makes_the_old_result_stale(change: FeaturesRequested) -> None:
    state = folded(at(1, profiled("a")), at(2, requested()))
    work = due_now(state)
    late = evolve(state, at(3, change))
    assert decide_done(late, work, made(work)) == []
    assert due_now(late).request == change


def test_a_refusal_holds_for_its_request_and_the_same_wish_may_be_tried_again() -> None:
    state = folded(at(1, profiled("a")), at(2, requested()))
    state = evolve(state, at(3, refusal(due_now(state), RepositoryError("views.py line 3"))))
    assert due(state, "team", "lateness") is None
    assert due_now(evolve(state, at(4, requested()))).requested.cause.id == "m4"


@pytest.mark.parametrize(
    ("error", "field"),
    [
        (InvalidRequestError("holdout_days: too many"), "holdout_days"),
        (InvalidRequestError("table 'flights' has no rows"), "entity_table"),
        (RepositoryError("views.py: no such entity"), "repository"),
    ],
)
def test_a_refusal_names_the_field_and_the_fix(error: FeaturesError, field: str) -> None:
    refused = refusal(due_now(folded(at(1, profiled("a")), at(2, requested()))), error)
    assert (refused.field, refused.request) == (field, "m2")
    assert refused.fix


def test_files_are_grouped_as_the_datasets_service_groups_them() -> None:
    paths = ["weather/2.parquet", "flights-2013-02.parquet", "flights-2013-01.parquet", "a.csv"]
    assert group_by_table(paths) == {
        "flights": ["flights-2013-01.parquet", "flights-2013-02.parquet"],
        "weather": ["weather/2.parquet"],
    }
