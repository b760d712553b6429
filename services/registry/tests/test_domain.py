"""The rules of the registry, without a bus."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_registry.domain.promote import compare
from penstock_schemas import Gate, Objective, Program

finite = st.floats(-1e6, 1e6)


def gate(goal: str = "maximize", min_gain: float = 0.0) -> Gate:
    objective = Objective.model_validate({"metric": "auc", "goal": goal})
    return Gate(program=Program(command=("judge",)), objective=objective, min_gain=min_gain)


@given(finite, finite, st.floats(0, 100), st.sampled_from(["maximize", "minimize"]))
def test_two_versions_never_both_beat_each_other(
    one: float, other: float, min_gain: float, goal: str
) -> None:
    judge = gate(goal, min_gain)
    forth, _ = compare(judge, {"candidate_auc": one, "incumbent_auc": other}, 1)
    back, _ = compare(judge, {"candidate_auc": other, "incumbent_auc": one}, 1)
    assert not (forth and back)
    if one == other:
        assert not forth


@pytest.mark.parametrize(
    ("goal", "candidate", "earned"),
    [("maximize", 0.9, True), ("maximize", 0.7, False), ("minimize", 0.7, True)],
)
def test_the_goal_says_which_side_is_better(goal: str, candidate: float, earned: bool) -> None:
    metrics = {"candidate_auc": candidate, "incumbent_auc": 0.8}
    assert compare(gate(goal), metrics, 3)[0] is earned


def test_a_gain_of_exactly_the_minimum_is_not_enough_and_the_reason_has_the_numbers() -> None:
    earned, reason = compare(gate(min_gain=0.5), {"candidate_auc": 1.0, "incumbent_auc": 0.5}, 2)
    assert not earned
    assert reason == "auc 1 does not beat 0.5 of version 2 by more than 0.5"


@pytest.mark.parametrize("metrics", [{}, {"candidate_auc": float("nan")}])
def test_without_an_incumbent_a_finite_metric_is_still_needed(metrics: dict[str, float]) -> None:
    assert compare(gate(), metrics, None)[0] is False
    assert compare(gate(), {"candidate_auc": -3.0}, None) == (
        True,
        "auc -3; there is no incumbent to beat",
    )


def test_an_incumbent_that_was_not_measured_is_not_beaten() -> None:
    earned, reason = compare(gate(), {"candidate_auc": 1.0}, 4)
    assert not earned
    assert "incumbent_auc" in reason
