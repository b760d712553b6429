"""What the tuner knows: experiments with their trials, folded from the log."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from penstock_chassis.message import Cause, Recorded
from penstock_schemas import (
    ExperimentCompleted,
    ExperimentRejected,
    ExperimentRequested,
    TrialCompleted,
    TrialFailed,
    TrialPruned,
    TrialStarted,
)

Ended = Literal["completed", "failed", "pruned"]
Key = tuple[str, str]
"""Namespace and id."""


@dataclass(frozen=True)
class Trial:
    """One trial; `value` is its objective where it completed."""

    started: TrialStarted
    ended: Ended | None = None
    value: float | None = None


@dataclass(frozen=True)
class Experiment:
    """One experiment; `trials` are in the order of their numbers, from 0 without gaps."""

    request: ExperimentRequested
    cause: Cause
    requested_at: datetime
    changed_at: datetime
    trials: tuple[Trial, ...] = ()
    over: bool = False

    @property
    def running(self) -> int:
        """How many trials have started and not ended."""
        return sum(trial.ended is None for trial in self.trials)

    def count(self, ended: Ended) -> int:
        """How many trials ended so."""
        return sum(trial.ended == ended for trial in self.trials)

    @property
    def best(self) -> Trial | None:
        """The completed trial with the best objective, the earliest of equals."""
        done = [t for t in self.trials if t.ended == "completed" and t.value is not None]
        if not done:
            return None
        sign = 1 if self.request.objective.goal == "maximize" else -1
        return max(done, key=lambda t: (sign * (t.value or 0.0), -t.started.number))


@dataclass
class State:
    """All experiments, and which trial each of their jobs belongs to."""

    experiments: dict[Key, Experiment] = field(default_factory=dict)
    trial_of_job: dict[Key, tuple[str, int]] = field(default_factory=dict)


def evolve(state: State, recorded: Recorded) -> State:
    """The state after one event; changes `state` in place."""
    event, namespace = recorded.event, recorded.namespace
    match event:
        case ExperimentRequested():
            key = (namespace, event.experiment)
            if key not in state.experiments:  # the first request is the experiment
                state.experiments[key] = Experiment(
                    event, recorded.cause, recorded.time, recorded.time
                )
        case ExperimentCompleted() | ExperimentRejected():
            _change(state, (namespace, event.experiment), recorded, over=True)
        case TrialStarted():
            experiment = state.experiments.get((namespace, event.experiment))
            if experiment is not None and event.number == len(experiment.trials):
                trials = (*experiment.trials, Trial(event))
                _change(state, (namespace, event.experiment), recorded, trials=trials)
                state.trial_of_job[namespace, event.job] = (event.experiment, event.number)
        case TrialCompleted():
            _end(state, recorded, event.experiment, event.number, "completed", event.value)
        case TrialFailed():
            _end(state, recorded, event.experiment, event.number, "failed", None)
        case TrialPruned():
            _end(state, recorded, event.experiment, event.number, "pruned", event.value)
        case _:
            pass
    return state


def _end(
    state: State, recorded: Recorded, name: str, number: int, ended: Ended, value: float | None
) -> None:
    experiment = state.experiments.get((recorded.namespace, name))
    if experiment is None or number >= len(experiment.trials):
        return
    trials = list(experiment.trials)
    if trials[number].ended is None:
        trials[number] = replace(trials[number], ended=ended, value=value)
        _change(state, (recorded.namespace, name), recorded, trials=tuple(trials))


def _change(state: State, key: Key, recorded: Recorded, **changes: object) -> None:
    experiment = state.experiments.get(key)
    if experiment is not None:
        state.experiments[key] = replace(
            experiment,
            changed_at=recorded.time,
            **changes,  # type: ignore[arg-type]
        )
