"""The contract of `ModelHost`, on the fake and on worker processes."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from penstock_serving.adapters.host import ProcessModelHost
from penstock_serving.adapters.worker_template import WorkerTemplate
from penstock_serving.errors import StartFailed
from penstock_serving.ports import RevisionSpec
from penstock_serving.testing import (
    CONTRACT_SIGNATURE,
    FakeModel,
    FakeModelHost,
    HostWorld,
    ModelHostContract,
    RoutedHost,
)


class FakeWorld:
    def __init__(self) -> None:
        self.host: RoutedHost = FakeModelHost(_load)

    def spec(
        self, revision: int, *, endpoint: str = "delays", broken: bool = False
    ) -> RevisionSpec:
        folder = Path("broken" if broken else "sound")
        return RevisionSpec("team", endpoint, revision, "constant", str(revision), folder)


def _load(spec: RevisionSpec) -> FakeModel:
    if spec.model_dir.name == "broken":
        raise StartFailed("no model.joblib in the model")
    constant = float(spec.model_version)
    return FakeModel(CONTRACT_SIGNATURE, lambda request: [[constant] * request.rows])


class ProcessWorld:
    def __init__(
        self, template: WorkerTemplate, folder: Path, constant_model: Callable[[int], Path]
    ) -> None:
        self.processes = ProcessModelHost(template)
        self.host: RoutedHost = self.processes
        self._empty = folder
        self._constant_model = constant_model

    def spec(
        self, revision: int, *, endpoint: str = "delays", broken: bool = False
    ) -> RevisionSpec:
        folder = self._empty if broken else self._constant_model(revision)
        return RevisionSpec("team", endpoint, revision, "constant", str(revision), folder)


class TestFakeModelHost(ModelHostContract):
    @pytest.fixture
    async def world(self) -> HostWorld:
        return FakeWorld()


class TestProcessModelHost(ModelHostContract):
    @pytest.fixture
    async def world(
        self, template: WorkerTemplate, tmp_path: Path, constant_model: Callable[[int], Path]
    ) -> AsyncIterator[HostWorld]:
        world = ProcessWorld(template, tmp_path, constant_model)
        yield world
        await world.processes.close()
