"""What the registry does on each event. It has no side effects but its own events."""

from penstock_chassis.decider import Decider
from penstock_chassis.message import Recorded
from penstock_registry.domain import (
    State,
    decide_experiment_model,
    decide_gate_ended,
    decide_gate_succeeded,
    decide_job_model,
    decide_promotion,
)


async def on_job_succeeded(desk: Decider[State], message: Recorded) -> None:
    """Register its model, or judge by it."""
    await desk.handle(message, decide_job_model)
    await desk.handle(message, decide_gate_succeeded)


async def on_gate_job_ended(desk: Decider[State], message: Recorded) -> None:
    """Refuse the promotion that waits for it."""
    await desk.handle(message, decide_gate_ended)


async def on_experiment_completed(desk: Decider[State], message: Recorded) -> None:
    """Register the best trial's model."""
    await desk.handle(message, decide_experiment_model)


async def on_promotion_requested(desk: Decider[State], message: Recorded) -> None:
    """Judge the version, or let a job judge it."""
    await desk.handle(message, decide_promotion)
