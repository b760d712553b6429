"""The tuner on the simulated bus: crashes at every port call, seeds with faults."""

import threading
from datetime import UTC, datetime

import pytest

from penstock_chassis.decider import Decider
from penstock_chassis.fold import Fold
from penstock_chassis.message import Cause, Recorded
from penstock_chassis.service import Service
from penstock_chassis.testing import (
    Scenario,
    SimLog,
    SimWorld,
    assert_survives_crashes,
    assert_survives_seeds,
    facts_once,
    no_duplicate_ids,
)
from penstock_chassis.testing.simbus import SimPorts
from penstock_schemas import (
    ExperimentCompleted,
    ExperimentRejected,
    ExperimentRequested,
    JobRequested,
    JobSucceeded,
    TrialCompleted,
    TrialFailed,
    TrialStarted,
)
from penstock_tuner.adapters import optuna_suggester
from penstock_tuner.adapters.optuna_suggester import ask
from penstock_tuner.app import build
from penstock_tuner.domain import Experiment, Trial
from penstock_tuner.domain.suggestion import Suggestion
from penstock_tuner.settings import TunerSettings
from penstock_tuner.testing import FakeSuggester

TRIALS, PARALLEL = 5, 2


def toy_trainer(ports: SimPorts) -> Service:
    """Answers every job once, with a metric made from its parameters."""
    fold: Fold[set[str]] = Fold({"job"}, set(), _ended)
    desk = Decider("toy", ports.log, ports.clock, fold)

    def succeed(state: set[str], message: Recorded) -> list[JobSucceeded]:
        job = message.event
        assert isinstance(job, JobRequested)
        if job.job in state:
            return []
        value = float(job.params.get("depth", 1))  # type: ignore[arg-type]
        return [JobSucceeded(job=job.job, attempt=1, metrics={"auc": value}, seconds=1.0)]

    async def on_job_requested(message: Recorded) -> None:
        await desk.handle(message, succeed)

    return Service(name="toy", folds=[fold], handlers={JobRequested: on_job_requested})


def _ended(state: set[str], recorded: Recorded) -> set[str]:
    if isinstance(recorded.event, JobSucceeded):
        state.add(recorded.event.job)
    return state


def request(**changes: object) -> ExperimentRequested:
    return ExperimentRequested.model_validate(
        {
            "experiment": "e",
            "program": {"command": ["train"]},
            "space": {
                "rate": {"kind": "float", "low": 0.01, "high": 1.0, "log": True},
                "depth": {"kind": "int", "low": 1, "high": 9},
                "kind": {"kind": "categorical", "choices": ["a", "b"]},
            },
            "objective": {"metric": "auc"},
            "max_trials": TRIALS,
            "parallel_trials": PARALLEL,
            "params": {"fixed": 1},
            "seed": 3,
        }
        | changes
    )


def setup(world: SimWorld) -> dict[str, object]:
    def tuner(ports: SimPorts) -> object:
        suggester = ports.crashable(FakeSuggester())
        return build(TunerSettings(), ports, suggester)

    return {"tuner": tuner, "toy": toy_trainer}


def scenario(*wishes: object) -> Scenario:
    return Scenario(setup, publish=list(wishes) or [request()])  # type: ignore[arg-type]


def events(log: SimLog, kind: type) -> list:  # type: ignore[type-arg]
    return [recorded.event for recorded in log if isinstance(recorded.event, kind)]


def check(log: SimLog) -> None:
    no_duplicate_ids(log)
    facts_once(log, "trial.started", "trial.completed", "experiment.completed")
    assert not log.dead_letters
    started = events(log, TrialStarted)
    assert sorted(trial.number for trial in started) == list(range(TRIALS))
    requests = events(log, JobRequested)
    assert {job.job for job in requests} == {trial.job for trial in started}
    assert len(requests) == TRIALS
    completed = events(log, TrialCompleted)
    assert len(completed) == TRIALS
    (over,) = events(log, ExperimentCompleted)
    assert over.best_value == max(trial.value for trial in completed)
    assert over.succeeded == TRIALS
    running = 0
    for recorded in log:
        running += isinstance(recorded.event, TrialStarted)
        running -= isinstance(recorded.event, TrialCompleted | TrialFailed)
        assert running <= PARALLEL, "more trials at a time than asked for"


def test_an_experiment_runs_every_trial_once_and_ends_once() -> None:
    check(scenario().run())


def test_an_experiment_survives_a_crash_at_every_port_call() -> None:
    assert_survives_crashes(scenario(), check)


def test_an_experiment_survives_faults_of_the_bus(sim_seeds: range) -> None:
    assert_survives_seeds(scenario(), check, sim_seeds)


def test_the_same_request_twice_is_one_experiment() -> None:
    check(scenario(request(), request()).run())


def test_a_job_without_the_metric_fails_its_trial_with_the_reason() -> None:
    log = scenario(request(objective={"metric": "nothing"}, max_failed_trials=1)).run()
    failed = events(log, TrialFailed)
    assert "without the metric 'nothing'; it reported: auc" in failed[0].reason
    (over,) = events(log, ExperimentCompleted)
    assert over.best_trial is None
    assert "max_failed_trials" in over.reason
    assert len(failed) <= 1 + PARALLEL


@pytest.mark.parametrize(
    ("space", "field", "words"),
    [
        ({"kind": "float", "low": 2.0, "high": 1.0}, "space.x", "above high"),
        ({"kind": "float", "low": 0.0, "high": 1.0, "log": True}, "space.x", "logarithmic"),
        ({"kind": "int", "low": 1, "high": 2}, "space.fixed", "both fixed"),
    ],
)
def test_a_space_without_sense_is_refused_by_field(
    space: dict[str, object], field: str, words: str
) -> None:
    log = scenario(request(space={field.split(".")[1]: space})).run()
    (refused,) = events(log, ExperimentRejected)
    assert refused.field == field
    assert words in refused.reason
    assert refused.fix
    assert not events(log, TrialStarted)


def _history(sampler: str) -> Experiment:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    experiment = Experiment(request(sampler=sampler, max_trials=20), Cause("c", "n", "c"), now, now)
    for number in range(20):
        made = ask(experiment, number)
        started = TrialStarted(
            trial=f"e-{number}",
            experiment="e",
            number=number,
            params=made.params,
            job=f"j-{number}",
            sampler=made.sampler,
            attributes=made.attributes,
        )
        ended = None if number % 5 == 4 else "completed"
        value = float(made.params["rate"]) if ended else None
        trials = (*experiment.trials, Trial(started, ended, value))  # type: ignore[arg-type]
        experiment = Experiment(experiment.request, experiment.cause, now, now, trials)
    return experiment


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_rebuilt_study_is_told_the_same_suggestions(sampler: str) -> None:
    experiment = _history(sampler)
    for number in range(20):
        assert ask(experiment, number).params == experiment.trials[number].started.params


def test_different_trials_of_an_experiment_differ() -> None:
    rates = {trial.started.params["rate"] for trial in _history("random").trials}
    assert len(rates) == 20


async def test_asking_leaves_the_event_loop_free(monkeypatch: pytest.MonkeyPatch) -> None:
    asked_in: list[int] = []

    def note(experiment: Experiment, number: int) -> Suggestion:
        asked_in.append(threading.get_ident())
        return ask(experiment, number)

    monkeypatch.setattr(optuna_suggester, "ask", note)
    made = await optuna_suggester.OptunaSuggester().suggest(_history("tpe"), 19)
    assert made.params
    assert asked_in != [threading.get_ident()]
