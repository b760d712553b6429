"""Serving's event side on the simulated bus: crashes anywhere, faults, and a fake model host."""

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from penstock_chassis.errors import ChassisError
from penstock_chassis.message import Draft, Recorded
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
    facts_once,
    no_duplicate_ids,
    run,
    wishes_answered,
)
from penstock_schemas import (
    EndpointReady,
    EndpointRejected,
    EndpointRequested,
    Event,
    ModelPromoted,
    ModelRegistered,
    ObjectRef,
    RolloutAdvanced,
    RolloutCompleted,
    RolloutRolledback,
    RolloutStarted,
)
from penstock_serving.app import build
from penstock_serving.errors import StartFailed
from penstock_serving.ports import EndpointKey, RevisionSpec
from penstock_serving.settings import ServingSettings
from penstock_serving.testing import CONTRACT_SIGNATURE, FakeModel, FakeModelHost

Check = Callable[[SimLog], None]
BROKEN_VERSION = 4
UPLOAD_SECONDS = 60.0
"""Virtual time in which the artifact is surely stored, whatever faults there are."""


def load(spec: RevisionSpec) -> FakeModel:
    """The fetched folder must be there; version 4 has a bad model."""
    assert (spec.model_dir / "model.joblib").read_bytes() == b"weights"
    if spec.model_version == str(BROKEN_VERSION):
        raise StartFailed("model.joblib is not readable")
    return FakeModel(CONTRACT_SIGNATURE, lambda request: [])


async def upload(world: SimWorld, folder: Path) -> ObjectRef:
    objects = world.ports("uploader").objects
    while True:
        try:
            return await objects.put_folder("default", folder)
        except ChassisError:
            await asyncio.sleep(0.1)


class Stage:
    """The artifact, and the hosts of all lives of the service, in order."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.output = root / "output"
        (self.output / "model").mkdir(parents=True)
        (self.output / "model" / "model.joblib").write_bytes(b"weights")
        self.hosts: list[FakeModelHost] = []
        self.ref = run(upload(SimWorld(), self.output))

    def setup(self, world: SimWorld) -> dict[str, Build]:
        self.hosts.clear()
        work = Path(tempfile.mkdtemp(dir=self.root))
        world.spawn(upload(world, self.output))

        def serving(ports: SimPorts) -> Service:
            host = FakeModelHost(load)
            self.hosts.append(host)
            return build(ServingSettings(work_dir=work), ports, ports.crashable(host))

        return {"serving": serving}

    def registered(self, version: int, artifact: ObjectRef | None = None) -> Event:
        return ModelRegistered(model="m", model_version=version, artifact=artifact or self.ref)


def promoted(version: int) -> Event:
    return ModelPromoted(
        model="m", model_version=version, alias="champion", promotion=f"p{version}", reason="better"
    )


def serves_version_3(log: Sequence[Recorded]) -> bool:
    return any(isinstance(i.event, RolloutCompleted) and i.event.model_version == 3 for i in log)


def until(kind: type[Event], count: int) -> Until:
    return Until(lambda log: len([i for i in log if isinstance(i.event, kind)]) >= count)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


@pytest.fixture
def scenario(stage: Stage) -> Scenario:
    versions = [stage.registered(version) for version in (1, 2, 3, 4)]
    return Scenario(
        stage.setup,
        [
            Pause(UPLOAD_SECONDS),
            *versions,
            EndpointRequested(endpoint="e", model="m"),
            promoted(1),
            until(RolloutCompleted, 1),
            EndpointRequested(endpoint="e", model="another"),
            EndpointRequested(endpoint="e", model="m"),
            promoted(2),
            promoted(3),
            Until(serves_version_3),
            promoted(BROKEN_VERSION),
            until(RolloutRolledback, 1),
            Draft(promoted(1), "other"),
        ],
    )


@pytest.fixture
def check(stage: Stage) -> Check:
    def holds(log: SimLog) -> None:
        no_duplicate_ids(log)
        assert not log.dead_letters
        facts_once(log, RolloutStarted, EndpointReady, EndpointRejected, RolloutAdvanced)
        wishes_answered(log, RolloutStarted, RolloutCompleted, RolloutRolledback)
        started = [i.event for i in log if isinstance(i.event, RolloutStarted)]
        assert [event.revision for event in started] == list(range(1, len(started) + 1))
        done = [i.event for i in log if isinstance(i.event, RolloutCompleted)]
        assert [event.revision for event in done] == list(range(1, len(done) + 1))
        assert (done[0].model_version, done[-1].model_version) == (1, 3)
        [failed] = [i.event for i in log if isinstance(i.event, RolloutRolledback)]
        assert failed.revision == len(done) + 1
        assert failed.reason.endswith("model.joblib is not readable")
        [ready] = [i.event for i in log if isinstance(i.event, EndpointReady)]
        assert (ready.revision, ready.path) == (1, "/default/e")
        [rejected] = [i.event for i in log if isinstance(i.event, EndpointRejected)]
        assert rejected.field == "model"
        # What the log says serves is what the last life's host routes to, and nothing else is up.
        target = stage.hosts[-1].resolve(EndpointKey("default", "e"))
        assert target.spec.revision == done[-1].revision
        assert stage.hosts[-1].versions(EndpointKey("default", "e")) == ("3",)
        for host in stage.hosts:
            routes = [int(what.rsplit("/")[-1]) for call, what in host.calls if call == "route"]
            assert routes == sorted(routes)

    return holds


def test_an_endpoint_follows_its_alias_and_survives_a_bad_model(
    scenario: Scenario, check: Check
) -> None:
    check(scenario.run())


def test_serving_survives_a_crash_at_every_port_call(scenario: Scenario, check: Check) -> None:
    assert_survives_crashes(scenario, check)


def test_serving_survives_faults_of_the_bus(
    scenario: Scenario, check: Check, sim_seeds: range
) -> None:
    assert_survives_seeds(scenario, check, sim_seeds)


def test_a_missing_artifact_is_rolled_back_and_the_endpoint_waits(stage: Stage) -> None:
    missing = stage.ref.model_copy(update={"uri": "s3://penstock/default/blake3/00/0000"})
    publish = [
        stage.registered(1, missing),
        promoted(1),
        EndpointRequested(endpoint="e", model="m"),
        until(RolloutRolledback, 1),
    ]
    log = Scenario(stage.setup, publish).run()
    assert not [item for item in log if isinstance(item.event, RolloutCompleted)]
    assert not log.dead_letters
