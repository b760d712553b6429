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
from penstock_tuner.handlers import Desk, on_experiment_requested, on_job_ended
from penstock_tuner.ports import Suggester
from penstock_tuner.settings import TunerSettings


def build(settings: TunerSettings, ports: Ports, suggester: Suggester | None = None) -> Service:
    """The tuner on its ports. `serial="all"`: trials of one experiment end side by side, and
    each end decides about the experiment as a whole."""
    fold = Fold({"experiment", "trial", "job"}, State(), evolve)
    decider = Decider("tuner", ports.log, ports.clock, fold)
    desk = Desk(decider, suggester or OptunaSuggester())
    ended = partial(on_job_ended, desk)
    return Service(
        name="tuner",
        folds=[fold],
        serial="all",
        handlers={
            ExperimentRequested: partial(on_experiment_requested, desk),
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
    summary="experiments and trials: which parameters to try next",
)
