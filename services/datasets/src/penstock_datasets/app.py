"""The composition root of the datasets service."""

from functools import partial

from penstock_chassis.decider import Decider
from penstock_chassis.fold import Fold
from penstock_chassis.ports import Ports
from penstock_chassis.service import Service, ServiceSpec
from penstock_datasets.adapters.folder_cache import FolderCache
from penstock_datasets.adapters.profiler import DuckDbProfiler
from penstock_datasets.domain.state import State, evolve
from penstock_datasets.handlers import Desk, on_dataset_registered, on_dataset_requested
from penstock_datasets.ports import Profiler
from penstock_datasets.settings import DatasetsSettings
from penstock_schemas import DatasetRegistered, DatasetRequested


def build(settings: DatasetsSettings, ports: Ports, profiler: Profiler | None = None) -> Service:
    """The datasets service on its ports."""
    work = settings.work_dir.expanduser() / "datasets"
    fold = Fold({"dataset"}, State(), evolve)
    desk = Desk(
        decider=Decider("datasets", ports.log, ports.clock, fold),
        objects=ports.objects,
        clock=ports.clock,
        profiler=profiler
        or DuckDbProfiler(
            timeout_seconds=settings.profile_seconds_max,
            memory_bytes=settings.profile_memory_bytes,
        ),
        folders=FolderCache(ports.objects, work / "versions", settings.folders_kept),
        scratch=work / "scratch",
        allowed_folders=tuple(folder.expanduser() for folder in settings.allowed_folders),
    )
    return Service(
        name="datasets",
        folds=[fold],
        concurrency=settings.concurrency,
        handlers={
            DatasetRequested: partial(on_dataset_requested, desk),
            DatasetRegistered: partial(on_dataset_registered, desk),
        },
    )


SERVICE = ServiceSpec(
    name="datasets",
    settings=DatasetsSettings,
    build=build,
    summary="takes in, registers, verifies and profiles versions of datasets",
)
