"""The rules of the tuner: experiments folded from the log, what to start, and when it is over."""

from penstock_tuner.domain.evolve import evolve
from penstock_tuner.domain.faults import Fault, fault_of
from penstock_tuner.domain.history import PastTrial, Search, Suggestion, history
from penstock_tuner.domain.rules import (
    Drawn,
    decide_completion,
    decide_request,
    decide_start,
    decide_trial_end,
    open_numbers,
)
from penstock_tuner.domain.state import Experiment, Key, Phase, State, Status, Trial

__all__ = [
    "Drawn",
    "Experiment",
    "Fault",
    "Key",
    "PastTrial",
    "Phase",
    "Search",
    "State",
    "Status",
    "Suggestion",
    "Trial",
    "decide_completion",
    "decide_request",
    "decide_start",
    "decide_trial_end",
    "evolve",
    "fault_of",
    "history",
    "open_numbers",
]
