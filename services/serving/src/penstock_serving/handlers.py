"""What serving does on each event."""

from penstock_chassis.message import Recorded
from penstock_schemas import RolloutStarted
from penstock_serving.domain import decide_endpoint, decide_promoted
from penstock_serving.supervisor import Supervisor


async def on_endpoint_requested(supervisor: Supervisor, message: Recorded) -> None:
    """Start its first rollout, or refuse it."""
    await supervisor.desk.handle(message, decide_endpoint)


async def on_model_promoted(supervisor: Supervisor, message: Recorded) -> None:
    """Start a rollout of every endpoint that follows the alias."""
    await supervisor.desk.handle(message, decide_promoted)


async def on_rollout_started(supervisor: Supervisor, message: Recorded) -> None:
    """Bring the revision up and switch to it, or withdraw it."""
    rollout = message.event
    assert isinstance(rollout, RolloutStarted)
    await supervisor.settle((message.namespace, rollout.endpoint), message.sequence)
