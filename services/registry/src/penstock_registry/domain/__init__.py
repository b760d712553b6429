"""The rules of the registry: what becomes a model version, and which version earns an alias."""

from penstock_registry.domain.promote import (
    decide_gate_ended,
    decide_gate_succeeded,
    decide_promotion,
)
from penstock_registry.domain.register import decide_experiment_model, decide_job_model
from penstock_registry.domain.state import State, evolve

__all__ = [
    "State",
    "decide_experiment_model",
    "decide_gate_ended",
    "decide_gate_succeeded",
    "decide_job_model",
    "decide_promotion",
    "evolve",
]
