"""From one state to the next: what each event of an experiment, trial or job means here.

Events that contradict the state (a trial of another experiment's making, a second end) change
nothing.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from penstock_chassis.message import Recorded
from penstock_schemas import (
    Event,
    ExperimentCompleted,
    ExperimentRejected,
    ExperimentRequested,
    JobRequested,
    TrialCompleted,
    TrialFailed,
    TrialPruned,
    TrialStarted,
)
from penstock_tuner.domain.state import Experiment, Phase, State, Status, Trial, TrialJob


def evolve(state: State, recorded: Recorded) -> State:
    """The state after one event; `state` itself is changed."""
    change = _CHANGES.get(type(recorded.event))
    if change is not None:
        change(state, recorded, recorded.event)
    return state


def _experiment_requested(state: State, recorded: Recorded, event: ExperimentRequested) -> None:
    key = recorded.namespace, event.experiment
    known = state.experiments.get(key)
    if known is not None and known.phase is not Phase.REJECTED:
        if recorded.id != known.request_id:
            state.wishes.add((recorded.namespace, recorded.id))
        return  # a name is used once; a refused one may be asked for again
    state.experiments[key] = Experiment(recorded.namespace, event, recorded.id, recorded.time)
    state.trials[key] = []


def _experiment_rejected(state: State, recorded: Recorded, event: ExperimentRejected) -> None:
    state.wishes.discard((recorded.namespace, event.request))
    known = state.experiments.get((recorded.namespace, event.experiment))
    if known is not None and known.phase is Phase.ASKED and known.request_id == event.request:
        state.experiments[known.key] = replace(known, phase=Phase.REJECTED)


def _experiment_completed(state: State, recorded: Recorded, event: ExperimentCompleted) -> None:
    known = state.experiments.get((recorded.namespace, event.experiment))
    if known is not None:
        state.experiments[known.key] = replace(known, phase=Phase.COMPLETED)


def _trial_started(state: State, recorded: Recorded, event: TrialStarted) -> None:
    known = state.experiments.get((recorded.namespace, event.experiment))
    if known is None or event.number != known.started:
        return
    state.trials[known.key].append(Trial(event))
    state.jobs[recorded.namespace, event.job] = TrialJob(event.experiment, event.number)
    phase = Phase.RUNNING if known.phase is Phase.ASKED else known.phase
    state.experiments[known.key] = replace(known, phase=phase, started=known.started + 1)


def _job_requested(state: State, recorded: Recorded, event: JobRequested) -> None:
    key = recorded.namespace, event.job
    job = state.jobs.get(key)
    if job is not None and job.request_id is None:
        state.jobs[key] = replace(job, request_id=recorded.id)


def _trial_completed(state: State, recorded: Recorded, event: TrialCompleted) -> None:
    _end(state, recorded, event, Status.SUCCEEDED, event.value)


def _trial_failed(state: State, recorded: Recorded, event: TrialFailed) -> None:
    _end(state, recorded, event, Status.FAILED, None)


def _trial_pruned(state: State, recorded: Recorded, event: TrialPruned) -> None:
    _end(state, recorded, event, Status.PRUNED, event.value)


def _end(
    state: State,
    recorded: Recorded,
    event: TrialCompleted | TrialFailed | TrialPruned,
    status: Status,
    value: float | None,
) -> None:
    key = recorded.namespace, event.experiment
    trials = state.trials.get(key, [])
    if event.number >= len(trials) or trials[event.number].status is not Status.RUNNING:
        return
    trial = trials[event.number] = replace(trials[event.number], status=status, value=value)
    known = state.experiments[key]
    state.experiments[key] = replace(
        known,
        succeeded=known.succeeded + (status is Status.SUCCEEDED),
        failed=known.failed + (status is Status.FAILED),
        pruned=known.pruned + (status is Status.PRUNED),
        best=_better(known, trial) if status is Status.SUCCEEDED else known.best,
        last_end=recorded.time,
    )


def _better(experiment: Experiment, trial: Trial) -> Trial:
    """The better of the best so far and `trial`; of equals the one with the lower number."""
    best = experiment.best
    if best is None:
        return trial
    assert best.value is not None
    assert trial.value is not None
    sign = 1 if experiment.request.objective.goal == "maximize" else -1
    return max(best, trial, key=lambda t: (sign * (t.value or 0.0), -t.number))


_CHANGES: dict[type[Event], Callable[[State, Recorded, Any], None]] = {
    ExperimentRequested: _experiment_requested,
    ExperimentRejected: _experiment_rejected,
    ExperimentCompleted: _experiment_completed,
    TrialStarted: _trial_started,
    TrialCompleted: _trial_completed,
    TrialFailed: _trial_failed,
    TrialPruned: _trial_pruned,
    JobRequested: _job_requested,
}
