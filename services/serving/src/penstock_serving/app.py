"""The composition root of serving."""

import asyncio
from contextlib import ExitStack
from functools import partial

from penstock_chassis.adapters.access import account_fold, make_bearers
from penstock_chassis.decider import Decider
from penstock_chassis.fold import Fold
from penstock_chassis.metrics import exposed
from penstock_chassis.ports import Ports
from penstock_chassis.service import Service, ServiceSpec
from penstock_schemas import EndpointRequested, ModelPromoted, RolloutStarted
from penstock_serving.adapters.front import InferenceFront
from penstock_serving.adapters.gate import Gate
from penstock_serving.adapters.host import ProcessModelHost
from penstock_serving.domain import State, evolve
from penstock_serving.handlers import (
    on_endpoint_requested,
    on_model_promoted,
    on_rollout_started,
)
from penstock_serving.ports import ModelHost
from penstock_serving.settings import ServingSettings
from penstock_serving.supervisor import Supervisor

RESTORE_SECONDS_MAX = 120.0
"""The front opens after so long even if an endpoint is not up yet: it then answers 503."""


def build(settings: ServingSettings, ports: Ports, host: ModelHost | None = None) -> Service:
    """Serving on its ports. With a `host` given there is no HTTP front: its owner has the data
    side; without one, models run in processes and an HTTP front answers on `host:port`."""
    processes = ProcessModelHost() if host is None else None
    accounts = account_fold()
    gate = Gate(make_bearers(settings, accounts, ports.clock))
    front = InferenceFront(processes, gate=gate) if processes is not None else None
    chosen = host if host is not None else processes
    assert chosen is not None
    fold = Fold({"endpoint", "rollout", "model"}, State(), evolve)
    desk = Decider("serving", ports.log, ports.clock, fold)
    cache_dir = settings.work_dir.expanduser() / "artifacts"
    supervisor = Supervisor(desk, ports.objects, chosen, ports.clock, cache_dir)

    async def serve() -> None:
        restoring, shown = asyncio.create_task(supervisor.restore()), ExitStack()
        try:
            await asyncio.wait([restoring], timeout=RESTORE_SECONDS_MAX)
            if front is not None:
                shown.enter_context(exposed(front.metrics))
                await front.listen(settings.host, settings.port)
            await restoring
            await asyncio.Event().wait()
        finally:
            shown.close()
            restoring.cancel()

    async def close() -> None:
        if front is not None:
            await front.close()
        if processes is not None:
            await processes.close()

    return Service(
        name="serving",
        folds=[fold, accounts],
        handlers={
            EndpointRequested: partial(on_endpoint_requested, supervisor),
            ModelPromoted: partial(on_model_promoted, supervisor),
            RolloutStarted: partial(on_rollout_started, supervisor),
        },
        background=[serve],
        close=close,
    )


SERVICE = ServiceSpec(
    name="serving",
    settings=ServingSettings,
    build=build,
    summary="endpoints, their revisions and rollouts, and the inference data plane",
    isolated=True,
)
