"""The checker of logs can fail: each planted wrong is found."""

import copy
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from checker import violations

Event = dict[str, Any]


def event(number: int, type: str, id: str, **data: Any) -> Event:
    return {
        "id": f"id-{number}",
        "type": type,
        "namespace": "demo",
        "subject_id": id,
        "sequence": number,
        "data": data,
    }


GOOD = [
    event(1, "experiment.requested", "e"),
    event(2, "trial.started", "e-0"),
    event(3, "job.requested", "j"),
    event(4, "job.placed", "j", attempt=1),
    event(5, "job.started", "j", attempt=1),
    event(6, "job.failed", "j", attempt=1, final=False),
    event(7, "job.placed", "j", attempt=2),
    event(8, "job.started", "j", attempt=2),
    event(9, "job.succeeded", "j", attempt=2),
    event(10, "trial.completed", "e-0"),
    event(11, "experiment.completed", "e"),
    event(12, "promotion.requested", "p"),
    event(13, "model.promoted", "m", promotion="p"),
    event(14, "rollout.started", "r"),
    event(15, "rollout.completed", "r"),
]


def test_a_sound_log_has_no_violations() -> None:
    assert violations(GOOD) == []


@pytest.mark.parametrize("number", range(len(GOOD)))
def test_an_end_that_is_lost_or_said_twice_is_found(number: int) -> None:
    ends = {"job.succeeded", "trial.completed", "experiment.completed", "model.promoted"}
    if GOOD[number]["type"] not in ends | {"rollout.completed"}:
        return
    assert violations(GOOD[:number] + GOOD[number + 1 :])
    again = GOOD[number] | {"id": "again"}
    assert violations([*GOOD, again])


def test_a_planted_double_start_is_found() -> None:
    assert any("started twice" in v for v in violations([*GOOD, GOOD[7] | {"id": "again"}]))


def test_an_attempt_that_starts_while_another_runs_is_found() -> None:
    early = copy.deepcopy(GOOD)
    early[5], early[7] = early[7], early[5]
    assert any("while attempt" in v for v in violations(early))


def test_an_id_used_twice_is_found() -> None:
    assert any("have the id" in v for v in violations([*GOOD, event(1, "x.y", "z")]))
