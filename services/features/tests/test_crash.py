"""The features service on the simulated bus: versions, requests, bad ones beside good, crashes."""

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from penstock_chassis.digests import digest_of
from penstock_chassis.folders import FolderEntry, render_manifest
from penstock_chassis.message import Recorded
from penstock_chassis.service import Service
from penstock_chassis.testing import (
    Build,
    Pause,
    Scenario,
    SimLog,
    SimPorts,
    SimWorld,
    Until,
    assert_survives_crashes,
    assert_survives_seeds,
    causes_known,
    facts_once,
    no_duplicate_ids,
)
from penstock_features.app import build
from penstock_features.errors import EngineError
from penstock_features.settings import FeaturesSettings
from penstock_features.testing import FakeFeatureEngine
from penstock_schemas import (
    DatasetProfiled,
    Event,
    FeaturesMaterialized,
    FeaturesRejected,
    FeaturesRequested,
    ObjectRef,
)

START = datetime(2013, 1, 1, tzinfo=UTC)
OBJECTS: dict[str, bytes] = {}


def flights(days: int) -> bytes:
    times = [START + timedelta(days=day) for day in range(days)]
    sink = io.BytesIO()
    pq.write_table(
        pa.table({"event_timestamp": times, "late": [day % 2 for day in range(days)]}), sink
    )
    return sink.getvalue()


def stored(data: bytes) -> ObjectRef:
    digest = digest_of(data)
    uri = f"s3://penstock/default/blake3/{digest[7:9]}/{digest[7:]}"
    OBJECTS[uri] = data
    return ObjectRef(uri=uri, digest=digest, size_bytes=len(data))


def folder(**files: bytes) -> ObjectRef:
    refs = {name.replace("__", "."): stored(data) for name, data in files.items()}
    entries = [FolderEntry(name, ref.size_bytes, ref.digest) for name, ref in refs.items()]
    return stored(render_manifest(entries)).model_copy(update={"kind": "folder"})


REPOSITORY = folder(feature_store__yaml=b"project: toy\n")
NO_REPOSITORY = folder(readme__md=b"nothing here")
MISSING = REPOSITORY.model_copy(update={"uri": "s3://penstock/default/gone"})
VERSIONS = [folder(flights__parquet=flights(days)) for days in (10, 20)]


def profiled(version: ObjectRef) -> DatasetProfiled:
    return DatasetProfiled(
        dataset="flights",
        dataset_version=version.digest,
        manifest=version,
        tables=(),
        profile=stored(b"{}"),
        profiler="p1",
        seconds=0,
    )


def wish(features: str, repository: ObjectRef = REPOSITORY, **more: object) -> FeaturesRequested:
    return FeaturesRequested.model_validate(
        {
            "features": features,
            "dataset": "flights",
            "repository": repository,
            "feature_service": "all",
            "entity_table": "flights",
            "holdout_days": 3,
        }
        | more
    )


def scenario_of(
    work: Path, *publish: Event | Until | Pause, engine: FakeFeatureEngine | None = None
) -> Scenario:
    def setup(world: SimWorld) -> dict[str, Build]:
        world.objects.update(OBJECTS)

        def start(ports: SimPorts) -> Service:
            port = ports.crashable(engine or FakeFeatureEngine())
            return build(FeaturesSettings(work_dir=work), ports, port)

        return {"features": start}

    return Scenario(setup, publish=publish)


def results(log: SimLog) -> list[tuple[str, str, int, int]]:
    return [
        (m.event.features, m.event.dataset_version, m.event.training_rows, m.event.holdout_rows)
        for m in log
        if isinstance(m.event, FeaturesMaterialized)
    ]


def refusals(log: SimLog) -> list[tuple[str, str]]:
    found = [m.event for m in log if isinstance(m.event, FeaturesRejected)]
    return sorted((event.features, event.field) for event in found)


def first_version_done(log: list[Recorded]) -> bool:
    answers = [m for m in log if isinstance(m.event, FeaturesMaterialized | FeaturesRejected)]
    return len(answers) >= 3


def story(work: Path) -> Scenario:
    return scenario_of(
        work,
        wish("early"),
        profiled(VERSIONS[0]),
        wish("bad", NO_REPOSITORY),
        wish("late"),
        Until(first_version_done),  # type: ignore[arg-type]
        wish("late"),  # the same again
        profiled(VERSIONS[1]),
    )


def check_story(log: SimLog) -> None:
    no_duplicate_ids(log)
    causes_known(log)
    facts_once(log, FeaturesMaterialized, FeaturesRejected, field="dataset_version")
    assert not log.dead_letters
    first, second = (version.digest for version in VERSIONS)
    assert sorted(results(log)) == sorted(
        (features, version, rows, 3)
        for features in ("early", "late")
        for version, rows in ((first, 7), (second, 17))
    )
    assert refusals(log) == [("bad", "repository")] * 2
    for message in log:
        if isinstance(message.event, FeaturesMaterialized):
            assert message.event.holdout is not None
            rows = pq.read_table(pa.BufferReader(log.world.objects[message.event.training.uri]))
            assert rows.num_rows == message.event.training_rows


def test_each_feature_set_is_made_of_each_version_and_a_bad_one_refused(tmp_path: Path) -> None:
    check_story(story(tmp_path).run())


def test_it_survives_a_crash_at_every_port_call(tmp_path: Path) -> None:
    assert_survives_crashes(story(tmp_path), check_story)


def test_it_survives_faults_of_the_bus(tmp_path: Path, sim_seeds: range) -> None:
    assert_survives_seeds(story(tmp_path), check_story, sim_seeds)


def test_no_scratch_folder_stays_behind(tmp_path: Path) -> None:
    story(tmp_path).run()
    assert list((tmp_path / "features" / "default").iterdir()) == []


def test_what_cannot_be_is_refused_by_its_field(tmp_path: Path) -> None:
    log = scenario_of(
        tmp_path,
        profiled(VERSIONS[0]),
        wish("gone", MISSING),
        wish("no-table", entity_table="trains"),
        wish("too-long", holdout_days=99),
        wish("good", holdout_days=0.5),
    ).run()
    assert refusals(log) == [
        ("gone", "repository"),
        ("no-table", "entity_table"),
        ("too-long", "holdout_days"),
    ]
    assert results(log) == [("good", VERSIONS[0].digest, 9, 1)]


def test_a_changed_request_is_made_anew_and_a_whole_training_set_has_no_holdout(
    tmp_path: Path,
) -> None:
    done = Until(lambda log: any(isinstance(m.event, FeaturesMaterialized) for m in log))
    log = scenario_of(
        tmp_path, profiled(VERSIONS[0]), wish("set"), done, wish("set", holdout_days=0)
    ).run()
    assert [rows for _, _, *rows in results(log)] == [[7, 3], [10, 0]]
    last = log[-1].event
    assert isinstance(last, FeaturesMaterialized)
    assert last.holdout is None


def test_an_engine_that_was_stopped_is_asked_again_and_holds_up_no_other(tmp_path: Path) -> None:
    engine = FakeFeatureEngine()
    engine.failures.append(EngineError("stopped after 600 s"))
    log = scenario_of(
        tmp_path, wish("a"), wish("b"), Pause(1), profiled(VERSIONS[0]), engine=engine
    ).run()
    assert [features for features, *_ in results(log)] == ["b", "a"]
    assert not refusals(log)
    assert len(engine.requests) == 3
