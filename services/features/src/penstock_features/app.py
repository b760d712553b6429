"""The composition root of the features service."""

from functools import partial

from penstock_chassis.decider import Decider
from penstock_chassis.fold import Fold
from penstock_chassis.ports import Ports
from penstock_chassis.service import Service, ServiceSpec
from penstock_features.adapters.feast_engine import FeastEngine
from penstock_features.domain.state import State, evolve
from penstock_features.handlers import Desk, on_dataset_profiled, on_features_requested
from penstock_features.ports import FeatureEngine
from penstock_features.settings import FeaturesSettings
from penstock_schemas import DatasetProfiled, FeaturesRequested


def build(settings: FeaturesSettings, ports: Ports, engine: FeatureEngine | None = None) -> Service:
    """The features service on its ports."""
    fold = Fold({"features", "dataset"}, State(), evolve)
    desk = Desk(
        decider=Decider("features", ports.log, ports.clock, fold),
        objects=ports.objects,
        engine=engine
        or FeastEngine(
            timeout_seconds=settings.run_seconds_max, memory_bytes=settings.run_memory_bytes
        ),
        scratch=settings.work_dir.expanduser() / "features",
    )
    return Service(
        name="features",
        folds=[fold],
        concurrency=settings.concurrency,
        handlers={
            FeaturesRequested: partial(on_features_requested, desk),
            DatasetProfiled: partial(on_dataset_profiled, desk),
        },
    )


SERVICE = ServiceSpec(
    name="features",
    settings=FeaturesSettings,
    build=build,
    summary="keeps feature sets materialised from each new version of a dataset",
)
