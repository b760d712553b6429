"""The composition root of the trainer."""

from functools import partial

from penstock_chassis.decider import Decider
from penstock_chassis.fold import Fold
from penstock_chassis.ports import Ports
from penstock_chassis.service import Service, ServiceSpec
from penstock_schemas import JobCancelRequested, JobPlaced, JobPreempted
from penstock_trainer.adapters.local import LocalLauncher
from penstock_trainer.domain import State, evolve
from penstock_trainer.handlers import on_job_placed, on_job_stop
from penstock_trainer.ports import Launcher
from penstock_trainer.settings import TrainerSettings
from penstock_trainer.supervisor import Staging, Supervisor

CONCURRENCY = 32
"""Messages of different jobs handled at a time."""


def build(settings: TrainerSettings, ports: Ports, launcher: Launcher | None = None) -> Service:
    """The trainer on its ports; by default jobs are processes of this machine."""
    work_dir = settings.work_dir.expanduser()
    if launcher is None:
        launcher = LocalLauncher(work_dir / "jobs", python=settings.python)
    desk = Decider("trainer", ports.log, ports.clock, Fold({"job"}, State(), evolve))
    objects = work_dir / "objects"
    staging = Staging(ports.objects, objects, settings.python, settings.cache_bytes_max)
    supervisor = Supervisor(desk, ports, launcher, staging, settings)
    return Service(
        name="trainer",
        folds=[desk.fold],
        concurrency=CONCURRENCY,
        handlers={
            JobPlaced: partial(on_job_placed, supervisor),
            JobCancelRequested: partial(on_job_stop, supervisor),
            JobPreempted: partial(on_job_stop, supervisor),
        },
        background=[supervisor.adopt],
        close=supervisor.close,
    )


SERVICE = ServiceSpec(
    name="trainer",
    settings=TrainerSettings,
    build=build,
    summary="runs placed jobs, attempt by attempt, and says how they ended",
)
