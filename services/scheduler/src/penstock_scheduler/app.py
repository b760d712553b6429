"""The composition root of the scheduler."""

import asyncio
from functools import partial

import structlog

from penstock_chassis.decider import Decider
from penstock_chassis.errors import Retry, Unavailable
from penstock_chassis.fold import Fold
from penstock_chassis.ports import Ports
from penstock_chassis.service import Service, ServiceSpec
from penstock_scheduler.domain import State, evolve
from penstock_scheduler.handlers import (
    Planner,
    on_cluster_changed,
    on_job_cancel_requested,
    on_job_failed,
    on_job_requested,
    on_queue_requested,
)
from penstock_scheduler.settings import SchedulerSettings
from penstock_schemas import (
    JobCancelled,
    JobCancelRequested,
    JobFailed,
    JobQueued,
    JobRequested,
    JobSucceeded,
    NodeDrained,
    NodeLost,
    NodeRegistered,
    QueueConfigured,
    QueueRequested,
)

REGISTER_AGAIN_SECONDS = 1.0
"""The pause after the inventory could not be registered because the bus did not answer."""

log = structlog.get_logger("penstock.scheduler")


def build(settings: SchedulerSettings, ports: Ports) -> Service:
    """The scheduler on its ports."""
    fold = Fold({"job", "node", "queue", "plan"}, State(), evolve)
    desk = Decider("scheduler", ports.log, ports.clock, fold)
    planner = Planner(desk, settings.inventory(), settings.ledger)
    changed = partial(on_cluster_changed, planner)
    return Service(
        name="scheduler",
        folds=[fold],
        serial="all",
        handlers={
            JobRequested: partial(on_job_requested, planner),
            JobQueued: changed,
            JobFailed: partial(on_job_failed, planner),
            JobSucceeded: changed,
            JobCancelled: changed,
            JobCancelRequested: partial(on_job_cancel_requested, planner),
            NodeRegistered: changed,
            NodeDrained: changed,
            NodeLost: changed,
            QueueRequested: partial(on_queue_requested, planner),
            QueueConfigured: changed,
        },
        background=[partial(_keep_inventory, planner)],
    )


async def _keep_inventory(planner: Planner) -> None:
    """Register the declared nodes once, then stay: background work never ends by itself."""
    while True:
        try:
            await planner.register()
        except (Retry, Unavailable) as error:
            log.warning("inventory not registered yet", error=str(error))
            await asyncio.sleep(REGISTER_AGAIN_SECONDS)
            continue
        await asyncio.Event().wait()


SERVICE = ServiceSpec(
    name="scheduler",
    settings=SchedulerSettings,
    build=build,
    summary="queues, quotas, the inventory of nodes, and where each job runs",
)
