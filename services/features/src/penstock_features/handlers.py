"""What the features service does on each event: whatever is due."""

import asyncio
import shutil
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from penstock_chassis.decider import Decider
from penstock_chassis.errors import DigestMismatch, NotFound
from penstock_chassis.folders import InvalidManifest, folder_files
from penstock_chassis.message import Recorded
from penstock_chassis.ports import ObjectStore
from penstock_features.domain.materialization import MaterializeRequest, MaterializeResult
from penstock_features.domain.rules import Work, decide_done, due, missing, refusal, sets_of
from penstock_features.domain.state import State
from penstock_features.domain.tables import group_by_table
from penstock_features.errors import EngineError, InvalidRequestError, RepositoryError
from penstock_features.ports import FeatureEngine
from penstock_schemas import (
    DatasetProfiled,
    FeaturesMaterialized,
    FeaturesRejected,
    FeaturesRequested,
)

UNREADABLE = (NotFound, DigestMismatch, InvalidManifest)


@dataclass(frozen=True)
class Desk:
    """What the handlers work with. `locks` spare the same work being done twice at once."""

    decider: Decider[State]
    objects: ObjectStore
    engine: FeatureEngine
    scratch: Path
    locks: defaultdict[tuple[str, str], asyncio.Lock] = field(
        default_factory=lambda: defaultdict(asyncio.Lock)
    )


async def on_features_requested(desk: Desk, message: Recorded) -> None:
    """Materialise from the newest profiled version; where there is none yet, that will follow."""
    event = message.event
    assert isinstance(event, FeaturesRequested)
    await desk.decider.fold.reach(message.sequence)
    await _bring_up_to_date(desk, message.namespace, event.features)


async def on_dataset_profiled(desk: Desk, message: Recorded) -> None:
    """Materialise every feature set of the dataset; one that fails holds up no other."""
    event = message.event
    assert isinstance(event, DatasetProfiled)
    await desk.decider.fold.reach(message.sequence)
    failed: EngineError | None = None
    for features in sets_of(desk.decider.fold.state, message.namespace, event.dataset):
        try:
            await _bring_up_to_date(desk, message.namespace, features)
        except EngineError as error:
            failed = failed or error
    if failed is not None:
        raise failed


async def _bring_up_to_date(desk: Desk, namespace: str, features: str) -> None:
    async with desk.locks[namespace, features]:
        work = due(desk.decider.fold.state, namespace, features)
        if work is None:
            return
        with _scratch(desk.scratch / namespace / f"{features}-{work.cause.id}") as scratch:
            result = await _result(desk, work, scratch)
        await desk.decider.decide(work.cause, partial(decide_done, work=work, result=result))
        # Wait for what was just appended, so that the next in line does not do it again.
        await desk.decider.decide(work.cause, lambda _: ())


async def _result(desk: Desk, work: Work, scratch: Path) -> FeaturesMaterialized | FeaturesRejected:
    """Fetch, run, store; what is to be said about it."""
    try:
        await desk.objects.fetch(work.request.repository, scratch / "repository")
    except UNREADABLE as error:
        return missing(work, "repository", error)
    try:
        await desk.objects.fetch(work.version.manifest, scratch / "dataset")
    except UNREADABLE as error:
        return missing(work, "dataset", error)
    try:
        made = await desk.engine.materialize(_request(work, scratch))
    except (InvalidRequestError, RepositoryError) as error:
        return refusal(work, error)
    return await _stored(desk, work, made)


def _request(work: Work, scratch: Path) -> MaterializeRequest:
    tables = group_by_table(folder_files(scratch / "dataset"))
    return MaterializeRequest(
        repository=scratch / "repository",
        tables={name: [scratch / "dataset" / p for p in paths] for name, paths in tables.items()},
        feature_service=work.request.feature_service,
        entity_table=work.request.entity_table,
        label_columns=(),  # labels are columns of the entity table: they pass through unnamed
        holdout_days=work.request.holdout_days,
        output=scratch / "output",
        timestamp_column=work.request.timestamp_column,
    )


async def _stored(desk: Desk, work: Work, made: MaterializeResult) -> FeaturesMaterialized:
    training = await desk.objects.put_file(work.cause.namespace, made.training)
    holdout = None
    if made.holdout_rows:
        holdout = await desk.objects.put_file(work.cause.namespace, made.holdout)
    return FeaturesMaterialized(
        features=work.request.features,
        dataset=work.request.dataset,
        dataset_version=work.version.digest,
        repository_digest=work.request.repository.digest,
        training=training,
        holdout=holdout,
        training_rows=made.training_rows,
        holdout_rows=made.holdout_rows,
        columns={column.name: column.type for column in made.columns},
        seconds=made.seconds,
    )


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """An empty folder, gone afterwards; what a crash left there under its name goes first."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
