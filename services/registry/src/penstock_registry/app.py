"""The composition root of the registry."""

from functools import partial

from penstock_chassis.decider import Decider
from penstock_chassis.fold import Fold
from penstock_chassis.ports import Ports
from penstock_chassis.service import Service, ServiceSpec
from penstock_registry.domain import State, evolve
from penstock_registry.handlers import (
    on_experiment_completed,
    on_gate_job_ended,
    on_job_succeeded,
    on_promotion_requested,
)
from penstock_registry.settings import RegistrySettings
from penstock_schemas import (
    ExperimentCompleted,
    JobCancelled,
    JobFailed,
    JobRejected,
    JobSucceeded,
    PromotionRequested,
)


def build(settings: RegistrySettings, ports: Ports) -> Service:
    """The registry on its ports."""
    fold = Fold({"model", "promotion", "job", "experiment", "trial"}, State(), evolve)
    desk = Decider("registry", ports.log, ports.clock, fold)
    ended = partial(on_gate_job_ended, desk)
    return Service(
        name="registry",
        folds=[fold],
        serial="all",
        handlers={
            JobSucceeded: partial(on_job_succeeded, desk),
            JobFailed: ended,
            JobCancelled: ended,
            JobRejected: ended,
            ExperimentCompleted: partial(on_experiment_completed, desk),
            PromotionRequested: partial(on_promotion_requested, desk),
        },
    )


SERVICE = ServiceSpec(
    name="registry",
    settings=RegistrySettings,
    build=build,
    summary="models, their versions and lineage, and the gates by which a version earns an alias",
)
