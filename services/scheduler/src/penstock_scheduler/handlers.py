"""What the scheduler does on each event. A plan follows everything that can make room or need.

A job is queued first and placed by the plan that follows its `job.queued`: many requests at a
time are so placed by few plans.
"""

from functools import partial

from penstock_chassis.decider import Decider
from penstock_chassis.message import Cause, Recorded
from penstock_scheduler.domain import (
    State,
    decide_cancel,
    decide_inventory,
    decide_plan,
    decide_queue,
    decide_request,
    decide_requeue,
    plan,
)
from penstock_scheduler.domain.rules import inventory_cause, plan_cause, unregistered
from penstock_schemas import SYSTEM_NAMESPACE, NodeRegistered


class Planner:
    """The scheduler's one writer: its decider, its inventory and its ledger.

    Two of them may run at once on one log: each plan is guarded by the ledger's last page.
    """

    def __init__(
        self, desk: Decider[State], declared: tuple[NodeRegistered, ...], ledger: str
    ) -> None:
        self.desk = desk
        self.declared = declared
        self.ledger = ledger
        self._settled_at = -1
        """The fold's position at which there was nothing to place."""

    async def settle(self, after: int) -> None:
        """Commit plans until nothing more can start in the state that holds sequence `after`."""
        await self.desk.fold.reach(after)
        while self._settled_at != self.desk.fold.position:
            # 1. Snapshot: the fold's state. 2. Decide, only to know what the plan refers to.
            position = self.desk.fold.position
            planned = plan(self.desk.fold.state)
            if not planned.placements:
                self._settled_at = position
                return
            # 3. Commit: the rule plans anew, from the state that its guards are taken from.
            cause = plan_cause(planned)
            await self.desk.decide(cause, partial(decide_plan, ledger=self.ledger, cause=cause))

    async def register(self) -> None:
        """Say what the log does not know yet about the declared nodes."""
        while True:
            state = await self.desk.settle()
            if not unregistered(state, self.declared):
                return
            id = inventory_cause(state, self.declared)
            rule = partial(decide_inventory, declared=self.declared, ledger=self.ledger, cause=id)
            if await self.desk.decide(Cause(id, SYSTEM_NAMESPACE, id), rule):
                return


async def on_job_requested(planner: Planner, message: Recorded) -> None:
    """Queue it or refuse it."""
    await planner.desk.handle(message, lambda state, m: decide_request(state, m, planner.declared))


async def on_job_failed(planner: Planner, message: Recorded) -> None:
    """Queue the next attempt, if one is to follow; its place is free."""
    await planner.desk.handle(message, decide_requeue)
    await planner.settle(message.sequence)


async def on_job_cancel_requested(planner: Planner, message: Recorded) -> None:
    """End it where it has no place."""
    await planner.desk.handle(message, decide_cancel)


async def on_queue_requested(planner: Planner, message: Recorded) -> None:
    """Configure the queue or refuse it."""
    await planner.desk.handle(
        message, lambda state, m: decide_queue(state, m, planner.declared, planner.ledger)
    )


async def on_cluster_changed(planner: Planner, message: Recorded) -> None:
    """A job waits, an end made room, a node or a quota is another: plan."""
    await planner.settle(message.sequence)
