"""The whole tuner on the simulated bus: crashes anywhere, faults, and two of it at once."""

from penstock_chassis.decider import Decider
from penstock_chassis.fold import Fold
from penstock_chassis.message import Draft, Recorded
from penstock_chassis.service import Service
from penstock_chassis.testing import (
    Scenario,
    SimLog,
    SimPorts,
    SimWorld,
    Until,
    assert_survives_crashes,
    assert_survives_seeds,
    facts_once,
    no_duplicate_ids,
)
from penstock_schemas import (
    ExperimentCompleted,
    ExperimentRequested,
    JobRejected,
    JobRequested,
    JobSucceeded,
    TrialCompleted,
    TrialFailed,
    TrialStarted,
)
from penstock_tuner.app import build
from penstock_tuner.settings import TunerSettings
from penstock_tuner.testing import SeededSuggester

TRIALS, PARALLEL = 5, 2
NAMESPACE = "default"


def wanted(**changes: object) -> ExperimentRequested:
    return ExperimentRequested.model_validate(
        {
            "experiment": "e",
            "program": {"command": ["train"]},
            "space": {"depth": {"kind": "int", "low": 1, "high": 9}},
            "objective": {"metric": "auc"},
            "max_trials": TRIALS,
            "parallel_trials": PARALLEL,
            "seed": 3,
        }
        | changes
    )


def toy_trainer(ports: SimPorts) -> Service:
    """Answers every job once, with a metric made from its parameters."""
    fold: Fold[set[str]] = Fold({"job"}, set(), _ended)
    desk = Decider("toy", ports.log, ports.clock, fold)

    def succeed(state: set[str], message: Recorded) -> list[JobSucceeded]:
        job = message.event
        assert isinstance(job, JobRequested)
        if job.job in state:
            return []
        value = float(str(job.params["depth"]))
        return [JobSucceeded(job=job.job, attempt=1, metrics={"auc": value}, seconds=1.0)]

    async def on_job_requested(message: Recorded) -> None:
        await desk.handle(message, succeed)

    return Service(name="toy", folds=[fold], handlers={JobRequested: on_job_requested})


def _ended(state: set[str], recorded: Recorded) -> set[str]:
    if isinstance(recorded.event, JobSucceeded):
        state.add(recorded.event.job)
    return state


def build_tuner(ports: SimPorts) -> Service:
    return build(TunerSettings(), ports, ports.crashable(SeededSuggester()))


def setup_one(world: SimWorld):
    return {"tuner": build_tuner, "toy": toy_trainer}


def setup_two(world: SimWorld):
    return {"tuner": build_tuner, "tuner-2": build_tuner, "toy": toy_trainer}


def _started(log: list[Recorded]) -> bool:
    return any(isinstance(item.event, TrialStarted) for item in log)


ONE = Scenario(setup_one, [wanted()])
TWO = Scenario(setup_two, [wanted()])


def check(log: SimLog) -> None:
    no_duplicate_ids(log)
    facts_once(log, "trial.started", "trial.completed", "experiment.completed")
    assert not log.dead_letters
    started = [item.event for item in log if isinstance(item.event, TrialStarted)]
    assert [trial.number for trial in started] == list(range(TRIALS))
    jobs = [item.event.job for item in log if isinstance(item.event, JobRequested)]
    assert jobs == [trial.job for trial in started]
    completed = [item.event for item in log if isinstance(item.event, TrialCompleted)]
    assert sorted(trial.number for trial in completed) == list(range(TRIALS))
    (over,) = [item.event for item in log if isinstance(item.event, ExperimentCompleted)]
    best = max(completed, key=lambda trial: (trial.value, -trial.number))
    assert (over.best_trial, over.best_value) == (best.trial, best.value)
    assert log[-1].event is over
    running = 0
    for item in log:
        running += isinstance(item.event, TrialStarted)
        running -= isinstance(item.event, TrialCompleted | TrialFailed)
        assert running <= PARALLEL, "more trials at a time than asked for"


def test_an_experiment_runs_every_trial_once_and_ends_once() -> None:
    check(ONE.run())


def test_a_crash_at_every_port_call_loses_and_doubles_nothing() -> None:
    assert_survives_crashes(ONE, check)


def test_faults_of_the_bus_lose_and_double_nothing(sim_seeds: range) -> None:
    assert_survives_seeds(ONE, check, sim_seeds)


def test_two_tuners_at_once_survive_faults_of_the_bus(sim_seeds: range) -> None:
    assert_survives_seeds(TWO, check, sim_seeds)


def test_refusals_of_other_requests_disturb_neither_experiment_nor_trial() -> None:
    bad = {"depth": {"kind": "int", "low": 9, "high": 1}}
    refused = JobRejected(job="0190c2a4-7b1e-7c30-8f00-00000000a001", request="x", reason="x")
    log = Scenario(
        setup_one, [wanted(), Until(_started), wanted(space=bad), Draft(refused, NAMESPACE)]
    ).run()
    (refusal,) = [item.event for item in log if item.type == "experiment.rejected"]
    assert refusal.field == "experiment"
    (over,) = [item.event for item in log if isinstance(item.event, ExperimentCompleted)]
    assert over.succeeded == TRIALS
