"""The rules of the tuner by example and under random orders of ends."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_chassis.message import Recorded
from penstock_schemas import (
    Event,
    ExperimentCompleted,
    ExperimentRejected,
    ExperimentRequested,
    JobCancelled,
    JobFailed,
    JobRejected,
    JobRequested,
    JobSucceeded,
    TrialCompleted,
    TrialFailed,
    TrialPruned,
    TrialStarted,
)
from penstock_tuner.domain import (
    Drawn,
    Experiment,
    State,
    Suggestion,
    decide_completion,
    decide_request,
    decide_start,
    decide_trial_end,
    evolve,
    history,
    open_numbers,
)

TEAM = "vision"
NOW = datetime(2026, 11, 24, tzinfo=UTC)
KEY = (TEAM, "e")


def wanted(**changes: object) -> ExperimentRequested:
    return ExperimentRequested.model_validate(
        {
            "experiment": "e",
            "program": {"command": ["train"]},
            "space": {"x": {"kind": "float", "low": 0, "high": 1}},
            "objective": {"metric": "auc", "goal": "maximize"},
            "max_trials": 4,
            "parallel_trials": 2,
            "params": {"fixed": 1, "x": "overridden"},
        }
        | changes
    )


class Book:
    """A log in memory; every event comes one second after the one before."""

    def __init__(self) -> None:
        self.log: list[Recorded] = []
        self.state = State()

    def say(self, event: Event) -> Recorded:
        sequence = len(self.log) + 1
        recorded = Recorded(
            event=event,
            namespace=TEAM,
            sequence=sequence,
            time=NOW + timedelta(seconds=sequence),
            id=f"event-{sequence}",
            source="test",
            correlation_id="c",
        )
        self.log.append(recorded)
        self.state = evolve(self.state, recorded)
        return recorded

    def said(self, events: Sequence[Event]) -> list[Recorded]:
        return [self.say(event) for event in events]

    @property
    def experiment(self) -> Experiment:
        return self.state.experiments[KEY]

    def start(self) -> list[TrialStarted]:
        """Start what may be started, drawing each number as its own parameter."""
        numbers = open_numbers(self.experiment)
        drawn = [Drawn(n, Suggestion({"x": float(n)}, {"n": n}), "toy 1") for n in numbers]
        said = self.said(decide_start(self.state, KEY, drawn))
        return [r.event for r in said if isinstance(r.event, TrialStarted)]

    def succeed(self, trial: TrialStarted, **metrics: float) -> list[Event]:
        end = self.say(JobSucceeded(job=trial.job, attempt=1, metrics=metrics, seconds=1))
        return [r.event for r in self.said(decide_trial_end(self.state, end))]


def begun(**changes: object) -> tuple[Book, list[TrialStarted]]:
    book = Book()
    message = book.say(wanted(**changes))
    assert decide_request(book.state, message) == []
    return book, book.start()


def test_trials_start_with_their_jobs_up_to_the_parallel_limit() -> None:
    book, trials = begun()
    assert [t.trial for t in trials] == ["e-0", "e-1"]
    jobs = [r.event for r in book.log if isinstance(r.event, JobRequested)]
    assert [j.job for j in jobs] == [t.job for t in trials]
    assert jobs[1].params == {"fixed": 1, "x": 1.0}
    assert jobs[1].origin is not None
    assert (jobs[1].origin.noun, jobs[1].origin.id) == ("trial", "e-1")
    assert jobs[1].target is None
    assert list(open_numbers(book.experiment)) == []
    book.succeed(trials[0], auc=0.5)
    assert list(open_numbers(book.experiment)) == [2]


def test_a_draw_that_came_too_late_starts_nothing() -> None:
    book, trials = begun()
    book.succeed(trials[0], auc=0.5)
    drawn = [Drawn(2, Suggestion({"x": 0.1}), "toy 1")]
    book.said(decide_start(book.state, KEY, drawn))
    assert decide_start(book.state, KEY, drawn) == []


def test_the_history_holds_ended_and_running_trials_with_their_attributes() -> None:
    book, trials = begun()
    book.succeed(trials[1], auc=0.5)
    past = history(book.state, KEY)
    assert [(t.number, t.status.value, t.value) for t in past] == [
        (0, "running", None),
        (1, "succeeded", 0.5),
    ]
    assert past[1].attributes == {"n": 1}


@pytest.mark.parametrize(
    ("metrics", "why"),
    [
        ({}, "without reporting the metric 'auc' (reported: none)"),
        ({"loss": 1.0}, "without reporting the metric 'auc' (reported: loss)"),
        ({"auc": float("nan")}, "'auc' is nan"),
        ({"auc": float("inf")}, "'auc' is inf"),
    ],
)
def test_a_success_without_a_comparable_metric_is_a_failed_trial(
    metrics: dict[str, float], why: str
) -> None:
    book, (trial, _) = begun()
    # The wire refuses numbers that are not finite; the rule does not rely on it.
    end = JobSucceeded.model_construct(
        job=trial.job, attempt=1, metrics=metrics, output=None, seconds=1.0
    )
    (failed,) = decide_trial_end(book.state, book.say(end))
    assert isinstance(failed, TrialFailed)
    assert why in failed.reason


@pytest.mark.parametrize(
    ("end", "why"),
    [
        (JobFailed(job="j", attempt=3, reason="out of memory", final=True), "its job failed: out"),
        (JobCancelled(job="j", reason="no need"), "its job was cancelled: no need"),
    ],
)
def test_a_job_that_ends_badly_fails_its_trial_once(end: Event, why: str) -> None:
    book, (trial, _) = begun()
    message = book.say(end.model_copy(update={"job": trial.job}))
    (failed,) = decide_trial_end(book.state, message)
    assert isinstance(failed, TrialFailed)
    assert failed.reason.startswith(why)
    book.say(failed)
    assert decide_trial_end(book.state, message) == []


def test_a_failed_attempt_that_is_not_the_last_ends_nothing() -> None:
    book, (trial, _) = begun()
    message = book.say(JobFailed(job=trial.job, attempt=1, reason="killed", final=False))
    assert decide_trial_end(book.state, message) == []


def test_only_the_refusal_of_the_trials_own_request_ends_it() -> None:
    book, (trial, _) = begun()
    (own,) = [r for r in book.log if isinstance(r.event, JobRequested) and r.event.job == trial.job]
    other = book.say(JobRejected(job=trial.job, request="another", reason="bad"))
    assert decide_trial_end(book.state, other) == []
    mine = book.say(JobRejected(job=trial.job, request=own.id, reason="needs 8 GPUs"))
    (failed,) = decide_trial_end(book.state, mine)
    assert isinstance(failed, TrialFailed)
    assert failed.reason == "its job was refused: needs 8 GPUs"


def test_too_many_failures_end_the_experiment_after_the_running_trials() -> None:
    book, (first, second) = begun(max_failed_trials=0)
    book.succeed(first)
    assert list(open_numbers(book.experiment)) == []
    assert decide_completion(book.state, KEY) == []
    book.succeed(second, auc=0.6)
    (completed,) = decide_completion(book.state, KEY)
    assert isinstance(completed, ExperimentCompleted)
    assert (completed.best_trial, completed.succeeded, completed.failed) == ("e-1", 1, 1)
    assert completed.reason == ("1 trials failed, more than the 0 that max_failed_trials allows")
    book.say(completed)
    assert decide_completion(book.state, KEY) == []


def test_a_pruned_trial_has_ended_and_is_never_the_best() -> None:
    book, (trial,) = begun(max_trials=1)
    book.say(TrialPruned(trial="e-0", experiment="e", number=0, step=3, value=0.9, reason="below"))
    (completed,) = decide_completion(book.state, KEY)
    assert isinstance(completed, ExperimentCompleted)
    assert (completed.pruned, completed.best_trial) == (1, None)
    end = book.say(JobCancelled(job=trial.job, reason="pruned"))
    assert decide_trial_end(book.state, end) == []


@given(
    goal=st.sampled_from(["maximize", "minimize"]),
    parallel=st.integers(1, 5),
    values=st.lists(st.none() | st.integers(0, 3), min_size=1, max_size=8),
    picks=st.lists(st.integers(0, 100), min_size=8, max_size=8),
)
def test_an_experiment_runs_all_its_trials_and_finds_the_best(
    goal: str, parallel: int, values: list[int | None], picks: list[int]
) -> None:
    book, running = begun(
        objective={"metric": "auc", "goal": goal},
        max_trials=len(values),
        parallel_trials=parallel,
        max_failed_trials=len(values),
    )
    for pick in picks[: len(values)]:
        assert len(running) <= parallel
        trial = running.pop(pick % len(running))
        value = values[trial.number]
        ended = book.succeed(trial, **({} if value is None else {"auc": value}))
        assert isinstance(ended[0], TrialFailed if value is None else TrialCompleted)
        running += book.start()
    assert not running
    (completed,) = decide_completion(book.state, KEY)
    assert isinstance(completed, ExperimentCompleted)
    there = [(v, -n) for n, v in enumerate(values) if v is not None]
    if goal == "minimize":
        there = [(-v, n) for v, n in there]
    best = f"e-{-max(there)[1]}" if there else None
    assert completed.best_trial == best
    assert completed.succeeded == len(there)
    assert completed.failed == len(values) - len(there)
    assert completed.seconds == (book.log[-1].time - book.log[0].time).total_seconds()
    replayed = State()
    for recorded in book.log:
        replayed = evolve(replayed, recorded)
    assert replayed == book.state


@pytest.mark.parametrize(
    ("space", "reason", "fix"),
    [
        ({"kind": "float", "low": 2, "high": 1}, "low 2.0 is above high 1.0", "swap the bounds"),
        ({"kind": "int", "low": 1, "high": 1}, "low and high are both 1", "put a fixed value"),
        ({"kind": "float", "low": 0, "high": 1, "log": True}, "needs low above 0", "raise low"),
        (
            {"kind": "int", "low": 1, "high": 9, "log": True, "step": 2},
            "exclude one another",
            "leave one",
        ),
        ({"kind": "float", "low": 0, "high": 1, "step": 0}, "not above 0", "use a step above 0"),
        ({"kind": "float", "low": 0, "high": 1, "step": 2}, "wider than the range", "smaller"),
        ({"kind": "float", "low": -1.7e308, "high": 1.7e308}, "too wide", "narrower"),
        ({"kind": "int", "low": 0, "high": 2**60}, "not exact", "use smaller bounds"),
        ({"kind": "categorical", "choices": ["a", "a"]}, "'a' is there twice", "once"),
    ],
)
def test_a_space_without_meaning_is_refused_with_its_field(
    space: dict[str, object], reason: str, fix: str
) -> None:
    book = Book()
    message = book.say(wanted(space={"x": space}))
    (refusal,) = decide_request(book.state, message)
    assert isinstance(refusal, ExperimentRejected)
    assert (refusal.field, refusal.request) == ("space.x", message.id)
    assert reason in refusal.reason
    assert fix in refusal.fix
    book.say(refusal)
    assert decide_request(book.state, message) == []
    assert list(open_numbers(book.experiment)) == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"max_attempts": 101}, "max_attempts"),
        ({"space": {"x" * 200: {"kind": "float", "low": 0, "high": 1}}}, "space." + "x" * 128),
    ],
)
def test_what_no_job_could_carry_is_refused(changes: dict[str, object], field: str) -> None:
    book = Book()
    (refusal,) = decide_request(book.state, book.say(wanted(**changes)))
    assert isinstance(refusal, ExperimentRejected)
    assert refusal.field == field


def test_one_and_true_are_different_choices() -> None:
    book = Book()
    space = {"x": {"kind": "categorical", "choices": [1, True, None, "1"]}}
    assert decide_request(book.state, book.say(wanted(space=space))) == []


def test_a_name_is_used_once_and_the_same_request_again_is_no_fault() -> None:
    book, _ = begun()
    same = book.say(wanted())
    assert decide_request(book.state, same) == []
    other = book.say(wanted(max_trials=9))
    (refusal,) = decide_request(book.state, other)
    assert isinstance(refusal, ExperimentRejected)
    assert (refusal.field, refusal.fix) == ("experiment", "choose another name")
    book.say(refusal)
    assert decide_request(book.state, other) == []
    assert book.experiment.request.max_trials == 4
    assert book.experiment.phase.value == "running"


def test_a_refused_name_may_be_asked_for_again() -> None:
    book = Book()
    bad = {"x": {"kind": "float", "low": 2, "high": 1}}
    first = book.say(wanted(space=bad))
    early = book.say(wanted())
    book.said(decide_request(book.state, first))
    (refusal,) = decide_request(book.state, early)
    assert isinstance(refusal, ExperimentRejected)
    assert refusal.fix == "ask again"
    book.say(refusal)
    again = book.say(wanted())
    assert decide_request(book.state, again) == []
    assert len(book.start()) == 2
    assert decide_request(book.state, first) == []
