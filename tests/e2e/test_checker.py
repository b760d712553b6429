"""The checker of logs can fail: each planted wrong is found."""

import copy
import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from checker import violations
from runs import Run, double_runs, overlapping_runs, runs_below, unclaimed_runs

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


def leave(jobs: Path, job: str, attempt: int, start: float, end: float | None) -> None:
    """What a runner leaves of an attempt; one without an end runs, or was never seen to end."""
    folder = jobs / "demo" / job / "attempts" / str(attempt)
    folder.mkdir(parents=True)
    claim = {"attempt": attempt, "pid": 100 + attempt, "claimed_at": start}
    (folder / "runner.json").write_text(json.dumps(claim))
    if end is not None:
        (folder / "exit.json").write_text(json.dumps({"ended_at": end}))


def sound(jobs: Path) -> list[Run]:
    """The runs of `GOOD`."""
    leave(jobs, "j", 1, 10.0, 12.0)
    leave(jobs, "j", 2, 13.0, 15.0)
    return runs_below(jobs)


def test_sound_runs_have_no_violations(tmp_path: Path) -> None:
    runs = sound(tmp_path)
    assert len(runs) == 2
    assert double_runs(runs) + overlapping_runs(runs) + unclaimed_runs(runs, GOOD) == []


def test_a_planted_run_of_an_attempt_on_a_second_disk_is_found_though_the_log_is_sound(
    tmp_path: Path,
) -> None:
    runs = sound(tmp_path / "one")
    leave(tmp_path / "two", "j", 2, 14.0, 16.0)
    runs += runs_below(tmp_path / "two")
    assert violations(GOOD) == []
    assert double_runs(runs) == ["('demo', 'j', 2) ran 2 times"]
    assert any("beside" in found for found in overlapping_runs(runs))


@pytest.mark.parametrize("end", [13.5, None])
def test_a_planted_overlap_of_two_attempts_is_found(tmp_path: Path, end: float | None) -> None:
    leave(tmp_path, "j", 1, 10.0, end)
    leave(tmp_path, "j", 2, 13.0, 15.0)
    leave(tmp_path, "other", 1, 10.0, 15.0)
    runs = runs_below(tmp_path)
    assert double_runs(runs) == []
    assert len(overlapping_runs(runs)) == 1


def test_an_attempt_that_is_lost_ends_when_nothing_of_it_was_left(tmp_path: Path) -> None:
    leave(tmp_path, "j", 1, 10.0, None)
    (tmp_path / "demo" / "j" / "attempts" / "1" / "lost.json").write_text("{}")
    (run,) = runs_below(tmp_path)
    assert 10.0 < run.end < float("inf")


def test_a_planted_run_without_a_claim_and_a_success_without_a_run_are_found(
    tmp_path: Path,
) -> None:
    runs = sound(tmp_path)
    unclaimed = [e for e in GOOD if e["sequence"] != 5]
    assert unclaimed_runs(runs, unclaimed) == ["('demo', 'j', 1) ran unclaimed"]
    assert unclaimed_runs(runs[:1], GOOD) == ["('demo', 'j', 2) succeeded and never ran"]
