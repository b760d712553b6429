"""The datasets service on the simulated bus: requests, bad files beside good ones, crashes."""

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock_chassis.digests import digest_of
from penstock_chassis.folders import FolderEntry, parse_manifest, render_manifest
from penstock_chassis.message import Draft
from penstock_chassis.service import Service
from penstock_chassis.testing import (
    Build,
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
from penstock_datasets.app import build
from penstock_datasets.errors import ProfilerError
from penstock_datasets.settings import DatasetsSettings
from penstock_datasets.testing import FakeProfiler
from penstock_schemas import (
    DatasetProfiled,
    DatasetRegistered,
    DatasetRejected,
    DatasetRequested,
    ObjectRef,
)


def parquet(*values: int | None) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"distance": pa.array(values, pa.int64())}), sink)
    return sink.getvalue()


JANUARY, FEBRUARY = parquet(1, 2, None), parquet(3, 4)
LANDED = {
    "s3://landing/january": JANUARY,
    "s3://landing/february": FEBRUARY,
    "s3://landing/broken": b"not parquet",
}


def ask(dataset: str, *files: tuple[str, str], **more: object) -> DatasetRequested:
    listed = [{"path": path, "uri": f"s3://landing/{name}"} for path, name in files]
    return DatasetRequested.model_validate({"dataset": dataset, "files": listed, **more})


def settings_in(folder: Path) -> DatasetsSettings:
    return DatasetsSettings(work_dir=folder, folders_kept=1)


def scenario_of(
    folder: Path,
    *publish: DatasetRequested | DatasetRegistered | Draft | Until,
    profiler: FakeProfiler | None = None,
    settings: DatasetsSettings | None = None,
) -> Scenario:
    def setup(world: SimWorld) -> dict[str, Build]:
        world.objects.update(LANDED)

        def start(ports: SimPorts) -> Service:
            port = ports.crashable(profiler or FakeProfiler())
            return build(settings or settings_in(folder), ports, port)

        return {"datasets": start}

    return Scenario(setup, publish=publish)


def of_type(log: SimLog, kind: type) -> list[object]:
    return [item.event for item in log if isinstance(item.event, kind)]


def has_registered(count: int) -> Until:
    return Until(lambda log: sum(isinstance(m.event, DatasetRegistered) for m in log) == count)


def story(folder: Path) -> Scenario:
    first = ask("flights", ("flights-2013-01.parquet", "january"))
    return scenario_of(
        folder,
        first,
        ask("odd", ("odd.parquet", "broken")),
        has_registered(2),
        first,  # the same request again
        ask("flights", ("flights-2013-02.parquet", "february"), extends="latest"),
        ask("flights", ("flights-2013-03.parquet", "nowhere"), extends="latest"),
    )


def check_story(log: SimLog) -> None:
    no_duplicate_ids(log)
    causes_known(log)
    facts_once(log, DatasetRegistered, DatasetProfiled, field="dataset_version")
    assert not log.dead_letters
    flights = [e for e in of_type(log, DatasetRegistered) if e.dataset == "flights"]  # type: ignore[attr-defined]
    assert [e.files for e in flights] == [1, 2]  # type: ignore[attr-defined]
    assert flights[1].parent == flights[0].dataset_version  # type: ignore[attr-defined]
    manifest = log.world.objects[flights[1].manifest.uri]  # type: ignore[attr-defined]
    assert [e.path for e in parse_manifest(manifest)] == [
        "flights-2013-01.parquet",
        "flights-2013-02.parquet",
    ]
    rows = {e.tables[0].rows for e in of_type(log, DatasetProfiled)}  # type: ignore[attr-defined]
    assert rows == {3, 5}
    refused = [(e.dataset, e.field) for e in of_type(log, DatasetRejected)]  # type: ignore[attr-defined]
    assert sorted(refused) == [("flights", "files.0.uri"), ("odd", "manifest")]


def test_requests_are_registered_and_profiled_and_bad_ones_refused(tmp_path: Path) -> None:
    check_story(story(tmp_path).run())


def test_it_survives_a_crash_at_every_port_call(tmp_path: Path) -> None:
    assert_survives_crashes(story(tmp_path), check_story)


def test_it_survives_faults_of_the_bus(tmp_path: Path, sim_seeds: range) -> None:
    assert_survives_seeds(story(tmp_path), check_story, sim_seeds)


def test_nothing_stays_in_scratch_and_few_versions_on_disk(tmp_path: Path) -> None:
    story(tmp_path).run()
    assert list((tmp_path / "datasets" / "scratch").iterdir()) == []
    assert len(list((tmp_path / "datasets" / "versions" / "default").iterdir())) == 1


def test_a_wrong_digest_is_refused_and_a_right_one_taken(tmp_path: Path) -> None:
    def with_digest(dataset: str, digest: str) -> DatasetRequested:
        file = {"path": "a.parquet", "uri": "s3://landing/january", "digest": digest}
        return DatasetRequested.model_validate({"dataset": dataset, "files": [file]})

    good, bad = digest_of(JANUARY), digest_of(b"other")
    log = scenario_of(tmp_path, with_digest("right", good), with_digest("wrong", bad)).run()
    assert [e.dataset for e in of_type(log, DatasetProfiled)] == ["right"]  # type: ignore[attr-defined]
    [refused] = of_type(log, DatasetRejected)
    assert (refused.dataset, refused.field) == ("wrong", "files.0.digest")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "place", ["allowed/../secret.parquet", "allowed/link.parquet", "x.parquet"]
)
def test_a_local_file_outside_of_the_allowed_folders_is_refused(tmp_path: Path, place: str) -> None:
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    (tmp_path / "secret.parquet").write_bytes(JANUARY)
    (allowed / "link.parquet").symlink_to(tmp_path / "secret.parquet")
    (allowed / "good.parquet").write_bytes(JANUARY)

    def local(dataset: str, where: str) -> DatasetRequested:
        file = {"path": "a.parquet", "uri": f"file://{tmp_path}/{where}"}
        return DatasetRequested.model_validate({"dataset": dataset, "files": [file]})

    log = scenario_of(
        tmp_path,
        local("good", "allowed/good.parquet"),
        local("bad", place),
        settings=DatasetsSettings(work_dir=tmp_path / "work", allowed_folders=(allowed,)),
    ).run()
    assert [e.dataset for e in of_type(log, DatasetProfiled)] == ["good"]  # type: ignore[attr-defined]
    assert [e.dataset for e in of_type(log, DatasetRejected)] == ["bad"]  # type: ignore[attr-defined]


def registered_folder(*, lost: bool) -> tuple[dict[str, bytes], DatasetRegistered]:
    entry = FolderEntry("flights.parquet", len(JANUARY), digest_of(JANUARY))
    manifest = render_manifest([entry])
    digest = digest_of(manifest)

    def uri(of: str) -> str:
        return f"s3://penstock/default/blake3/{of[7:9]}/{of[7:]}"

    objects = {uri(digest): manifest, uri(entry.digest): b"torn" if lost else JANUARY}
    ref = ObjectRef(uri=uri(digest), digest=digest, size_bytes=len(JANUARY), kind="folder")
    event = DatasetRegistered(
        dataset="sent", dataset_version=digest, manifest=ref, files=1, size_bytes=len(JANUARY)
    )
    return objects, event


@pytest.mark.parametrize("lost", [False, True])
def test_a_registered_folder_is_verified_before_it_is_profiled(tmp_path: Path, lost: bool) -> None:
    objects, event = registered_folder(lost=lost)

    def setup(world: SimWorld) -> dict[str, Build]:
        world.objects.update(objects)
        return {"datasets": lambda ports: build(settings_in(tmp_path), ports, FakeProfiler())}

    log = Scenario(setup, publish=[event, event]).run()
    if lost:
        refusals = of_type(log, DatasetRejected)
        assert len(refusals) == 2  # each registration is answered
        assert {e.dataset_version for e in refusals} == {event.dataset_version}  # type: ignore[attr-defined]
        assert not of_type(log, DatasetProfiled)
    else:
        assert len(of_type(log, DatasetProfiled)) == 1
        assert not of_type(log, DatasetRejected)


def test_a_profiler_that_was_stopped_is_tried_again(tmp_path: Path) -> None:
    profiler = FakeProfiler()
    profiler.failures.append(ProfilerError("stopped"))
    log = scenario_of(tmp_path, ask("flights", ("f.parquet", "january")), profiler=profiler).run()
    assert len(profiler.asked) == 2
    assert len(of_type(log, DatasetProfiled)) == 1
