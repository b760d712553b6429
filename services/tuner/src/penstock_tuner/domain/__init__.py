"""The rules of experiments, pure."""

from penstock_tuner.domain.rules import complete_trial, continue_experiment, refuse_if_wrong
from penstock_tuner.domain.state import Experiment, State, Trial, evolve

__all__ = [
    "Experiment",
    "State",
    "Trial",
    "complete_trial",
    "continue_experiment",
    "evolve",
    "refuse_if_wrong",
]
