"""The composition root of the tuner."""

from functools import partial

from penstock_chassis.decider import Decider
from penstock_chassis.fold import Fold
from penstock_chassis.ports import Ports
from penstock_chassis.service import Service, ServiceSpec
from penstock_schemas import (
    ExperimentRequested,
    JobCancelled,
    JobFailed,
    JobRejected,
    JobSucceeded,
)
from penstock_tuner.adapters.optuna_suggester import OptunaSuggester
from penstock_tuner.domain import State, evolve
from penstock_tuner.handlers import Tuner, on_experiment_requested, on_job_ended
from penstock_tuner.ports import Suggester
from penstock_tuner.settings import TunerSettings


def build(settings: TunerSettings, ports: Ports, suggester: Suggester | None = None) -> Service:
    """The tuner on its ports; draws by Optuna unless another `suggester` is given."""
    fold = Fold({"experiment", "trial", "job"}, State(), evolve)
    desk = Decider("tuner", ports.log, ports.clock, fold)
    tuner = Tuner(desk, suggester or OptunaSuggester(), settings.trials_per_append)
    ended = partial(on_job_ended, tuner)
    return Service(
        name="tuner",
        folds=[fold],
        handlers={
            ExperimentRequested: partial(on_experiment_requested, tuner),
            JobSucceeded: ended,
            JobFailed: ended,
            JobRejected: ended,
            JobCancelled: ended,
        },
    )


SERVICE = ServiceSpec(
    name="tuner",
    settings=TunerSettings,
    build=build,
    summary="experiments, and the trials that search for their best parameters",
)
