"""The rules of the scheduler: state folded from the log, the planner, and why a job waits."""

from penstock_scheduler.domain.evolve import evolve
from penstock_scheduler.domain.plan import PLACEMENTS_MAX, Placement, Plan, plan
from penstock_scheduler.domain.reasons import explain, fits_now
from penstock_scheduler.domain.rules import (
    decide_cancel,
    decide_inventory,
    decide_plan,
    decide_queue,
    decide_request,
    decide_requeue,
)
from penstock_scheduler.domain.state import DEFAULT_QUEUE, Job, Key, Node, Phase, State

__all__ = [
    "DEFAULT_QUEUE",
    "PLACEMENTS_MAX",
    "Job",
    "Key",
    "Node",
    "Phase",
    "Placement",
    "Plan",
    "State",
    "decide_cancel",
    "decide_inventory",
    "decide_plan",
    "decide_queue",
    "decide_request",
    "decide_requeue",
    "evolve",
    "explain",
    "fits_now",
    "plan",
]
