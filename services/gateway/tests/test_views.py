"""The rows of every noun: a pure fold that no sequence of valid events can break."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock_chassis.message import Recorded
from penstock_gateway.domain.read_model import ReadModel
from penstock_gateway.domain.view import utc_text
from penstock_gateway.nouns import PROJECTION, VIEWS
from penstock_schemas import (
    DatasetProfiled,
    DatasetRegistered,
    EndpointReady,
    EndpointRequested,
    Event,
    ExperimentRequested,
    FeaturesMaterialized,
    JobFailed,
    JobPlaced,
    JobQueued,
    JobRequested,
    JobStarted,
    JobSucceeded,
    ModelDemoted,
    ModelPromoted,
    ModelRegistered,
    PromotionRequested,
    RolloutCompleted,
    RolloutStarted,
    TrialCompleted,
    TrialFailed,
    TrialStarted,
    TriggerFired,
    TriggerRejected,
    TriggerRequested,
    event_types,
)

START = datetime(2026, 1, 1, tzinfo=UTC)


def made(contract: type[Event], **changes: Any) -> Event:
    return contract.model_validate({**contract.example, **changes})


def recorded(event: Event, sequence: int, namespace: str = "vision", id: str = "") -> Recorded:
    return Recorded(
        event=event,
        namespace=namespace,
        sequence=sequence,
        time=START + timedelta(seconds=sequence),
        id=id or f"event-{sequence}",
        source="test",
        correlation_id="story",
    )


def fold(events: Sequence[Event | Recorded]) -> ReadModel:
    model = ReadModel()
    for sequence, event in enumerate(events, 1):
        item = event if isinstance(event, Recorded) else recorded(event, sequence)
        PROJECTION.evolve(model, item)
    return model


def row(events: Sequence[Event | Recorded], noun: str, id: str) -> Any:
    found = fold(events).find("vision", noun, id)
    assert found is not None
    return found


def test_every_noun_of_the_catalogue_has_a_view() -> None:
    assert set(VIEWS) == {event.noun() for event in event_types().values()}


@pytest.mark.parametrize("noun", sorted(VIEWS))
def test_every_event_of_a_noun_changes_its_row(noun: str) -> None:
    own = {event for event in event_types().values() if event.noun() == noun}
    assert own == set(VIEWS[noun].rules)


@given(
    st.lists(
        st.tuples(st.sampled_from(list(event_types().values())), st.sampled_from("ab")),
        max_size=40,
    )
)
@settings(deadline=None, max_examples=200)
def test_any_order_of_events_gives_complete_rows_and_leaves_snapshots_alone(
    story: list[tuple[type[Event], str]],
) -> None:
    model = ReadModel()
    for sequence, (contract, namespace) in enumerate(story, 1):
        before = model.snapshot()
        frozen = {noun: dict(rows) for noun, rows in before.rows.items()}
        text = orjson.dumps([list(rows.values()) for rows in before.rows.values()])
        PROJECTION.evolve(model, recorded(made(contract), sequence, namespace))
        assert before.rows == frozen
        assert orjson.dumps([list(rows.values()) for rows in before.rows.values()]) == text
    for noun, rows in model.rows.items():
        for (namespace, id), shown in rows.items():
            assert set(shown) == set(VIEWS[noun].all_columns)
            assert (shown["namespace"], shown["id"]) == (namespace, id)
            assert shown["status"], f"{noun} {id} has no status"
            assert shown["created_sequence"] <= shown["sequence"] <= model.position


def test_a_job_is_followed_through_its_attempts() -> None:
    job = JobRequested.example["job"]
    events = [
        made(JobRequested),
        made(JobQueued),
        made(JobPlaced),
        made(JobStarted),
        made(JobFailed, final=False),
        made(JobQueued, attempt=2),
        made(JobPlaced, attempt=2),
        made(JobStarted, attempt=2),
        made(JobSucceeded, attempt=2),
    ]
    statuses = [row(events[:n], "job", job)["status"] for n in range(1, len(events) + 1)]
    assert statuses == [
        "requested",
        "queued",
        "placed",
        "running",
        "retrying",
        "queued",
        "placed",
        "running",
        "succeeded",
    ]
    last = row(events, "job", job)
    assert last["attempt"] == 2
    assert last["origin"] == "trial/flights-1-4"
    assert last["metrics"] == {"auc": 0.71}
    assert last["started_at"] == utc_text(START + timedelta(seconds=8))
    assert last["ended_at"] == utc_text(START + timedelta(seconds=9))


def test_a_job_asked_for_twice_stays_where_it_is() -> None:
    job = JobRequested.example["job"]
    events = [made(JobRequested), made(JobQueued), made(JobPlaced), made(JobRequested)]
    assert row(events, "job", job)["status"] == "placed"


def test_an_experiment_counts_its_trials_and_knows_the_best() -> None:
    events: list[Event] = [made(ExperimentRequested)]
    for number, value in enumerate((0.6, 0.8, 0.7)):
        trial = f"flights-1-{number}"
        events += [
            made(TrialStarted, trial=trial, number=number),
            made(TrialCompleted, trial=trial, number=number, value=value),
        ]
    events += [
        made(TrialStarted, trial="flights-1-3", number=3),
        made(TrialFailed, trial="flights-1-3", number=3),
        made(TrialStarted, trial="flights-1-4", number=4),
    ]
    shown = row(events, "experiment", "flights-1")
    assert (shown["best_trial"], shown["best_value"]) == ("flights-1-1", 0.8)
    counts = {name: shown[name] for name in ("trials", "running", "succeeded", "failed")}
    assert counts == {"trials": 5, "running": 1, "succeeded": 3, "failed": 1}


def test_the_best_of_a_minimised_objective_is_the_least() -> None:
    objective = {"metric": "loss", "goal": "minimize"}
    events = [
        made(ExperimentRequested, objective=objective),
        made(TrialCompleted, trial="flights-1-0", number=0, value=0.6),
        made(TrialCompleted, trial="flights-1-1", number=1, value=0.9),
    ]
    assert row(events, "experiment", "flights-1")["best_value"] == 0.6


def test_a_trial_of_an_unknown_experiment_makes_no_experiment() -> None:
    assert fold([made(TrialStarted)]).find("vision", "experiment", "flights-1") is None


def test_a_model_knows_what_each_alias_names() -> None:
    events = [
        made(ModelRegistered, model_version=1),
        made(ModelPromoted, model_version=1, previous_version=None),
        made(ModelRegistered, model_version=2),
        made(ModelPromoted, model_version=2, previous_version=1),
    ]
    shown = row(events, "model", "flight-lateness")
    assert shown["aliases"] == {"champion": 2}
    assert [version["aliases"] for version in shown["versions"]] == [[], ["champion"]]
    assert [change["model_version"] for change in shown["promotions"]] == [1, 2]
    demoted = row([*events, made(ModelDemoted, model_version=2)], "model", "flight-lateness")
    assert demoted["aliases"] == {}
    assert demoted["champion"] is None


def test_a_promotion_is_granted_by_the_event_of_its_model() -> None:
    promotion = PromotionRequested.example["promotion"]
    shown = row([made(PromotionRequested), made(ModelPromoted)], "promotion", promotion)
    assert shown["status"] == "promoted"
    assert shown["evidence"] == ModelPromoted.example["evidence"]


def test_an_endpoint_tells_what_it_served_when() -> None:
    def switch(revision: int, version: int) -> list[Event]:
        rollout = f"flight-lateness-{revision}"
        common = {"rollout": rollout, "revision": revision, "model_version": version}
        return [made(RolloutStarted, **common), made(RolloutCompleted, **common)]

    events = [made(EndpointRequested), *switch(1, 1), made(EndpointReady), *switch(2, 3)]
    shown = row(events, "endpoint", "flight-lateness")
    assert (shown["revision"], shown["model_version"]) == (2, 3)
    assert shown["path"] == "/vision/flight-lateness"
    first, second = shown["served"]
    assert first["until"] == second["since"]
    assert second["until"] is None


def test_a_dataset_counts_versions_and_joins_their_profiles() -> None:
    other = "blake3:" + "cd" * 32
    events = [
        made(DatasetRegistered),
        made(DatasetProfiled),
        made(DatasetRegistered, dataset_version=other),
        made(DatasetRegistered),
    ]
    shown = row(events, "dataset", "flights")
    assert shown["version"] == 2
    assert shown["dataset_version"] == other
    assert [version["status"] for version in shown["versions"]] == ["profiled", "registered"]
    assert shown["versions"][0]["rows"] == 80789


def test_a_feature_set_keeps_every_materialisation() -> None:
    shown = row(
        [made(FeaturesMaterialized), made(FeaturesMaterialized)], "features", "flight-lateness"
    )
    assert len(shown["versions"]) == 2
    assert shown["training"]["digest"] == FeaturesMaterialized.example["training"]["digest"]


def test_a_refused_change_of_a_trigger_leaves_what_stood() -> None:
    good = recorded(made(TriggerRequested), 1, id="good")
    bad = recorded(made(TriggerRequested, on="no.such"), 2, id="bad")
    refusal = recorded(made(TriggerRejected, request="bad"), 3)
    shown = row([good, bad, refusal], "trigger", "retrain")
    assert shown["status"] == "active"
    assert shown["on"] == "features.materialized"
    assert "syntax error" in shown["reason"]


def test_a_trigger_counts_firings_and_refused_firings() -> None:
    events = [
        recorded(made(TriggerRequested), 1, id="request"),
        recorded(made(TriggerFired), 2),
        recorded(made(TriggerRejected, request="some-cause"), 3),
    ]
    shown = row(events, "trigger", "retrain")
    assert (shown["status"], shown["fired"], shown["refused"]) == ("active", 1, 1)
    assert shown["last_produced"] == "experiment.requested flights-1"
