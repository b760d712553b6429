"""What the trainer does about each event: claim, then let the supervisor do the work."""

from functools import partial

from penstock_chassis.message import Recorded
from penstock_schemas import JobPlaced
from penstock_trainer.domain import decide_claim, decide_stop
from penstock_trainer.supervisor import Supervisor


async def on_job_placed(supervisor: Supervisor, message: Recorded) -> None:
    """Claim the attempt and see that it is tended, also where it was claimed before.

    Where another trainer was faster, its claim is what the state says, and nothing is done. What
    is placed on another trainer's node, that one finds in the log (`Supervisor.adopt`).
    """
    assert isinstance(message.event, JobPlaced)
    if not supervisor.runs(message.event.node):
        return
    trainer = await supervisor.identity()
    await supervisor.desk.handle(message, partial(decide_claim, trainer=trainer))
    await supervisor.desk.settle()
    supervisor.tend(message.namespace, message.event.job)


async def on_job_stop(supervisor: Supervisor, message: Recorded) -> None:
    """Cancelled or preempted: end what was never claimed, ask what runs to stop."""
    await supervisor.desk.fold.reach(message.sequence)
    if not supervisor.is_here(message.namespace, message.event.id):
        return
    await supervisor.desk.handle(message, decide_stop)
    await supervisor.desk.settle()
    await supervisor.stop(message.namespace, message.event.id)
