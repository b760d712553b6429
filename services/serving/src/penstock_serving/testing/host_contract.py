"""The contract of `ModelHost`: one suite for the fake and for the real thing."""

# ruff: noqa: D102  (the name of a test is its sentence)

import asyncio
from typing import Protocol

import pytest

from penstock_serving.errors import NotFound, RevisionConflict, StartFailed, Unavailable
from penstock_serving.oip import InferRequest, Signature, TensorSpec
from penstock_serving.ports import (
    EndpointKey,
    HostState,
    InferenceRouter,
    ModelHost,
    Outputs,
    Phase,
    RevisionSpec,
)

CONTRACT_SIGNATURE = Signature((TensorSpec("x", "FP64"),), (TensorSpec("prediction", "FP64"),))
CONTRACT_ENDPOINT = EndpointKey("team", "delays")
ONE_ROW = InferRequest(None, [[1.0]], 1, ("prediction",))


class RoutedHost(ModelHost, InferenceRouter, Protocol):
    """Both sides of one host."""


class HostWorld(Protocol):
    """What an implementation gives to the contract: a host and models for it.

    The model of version v has `CONTRACT_SIGNATURE` and predicts float(v) for every row.
    """

    host: RoutedHost

    def spec(
        self, revision: int, *, endpoint: str = "delays", broken: bool = False
    ) -> RevisionSpec:
        """A revision of (team, endpoint) whose model version is `str(revision)`."""


class ModelHostContract:
    """What every `ModelHost` does. A subclass gives the fixture `world`, a `HostWorld`."""

    async def test_a_revision_is_ready_when_start_returns(self, world: HostWorld) -> None:
        spec = world.spec(1)
        await world.host.start(spec)
        status = (await world.host.state()).revisions[spec.revision_id]
        assert (status.spec.revision, status.phase, status.reason) == (1, Phase.READY, None)

    async def test_starting_again_and_at_once_is_one_start(self, world: HostWorld) -> None:
        spec = world.spec(1)
        await asyncio.gather(*(world.host.start(spec) for _ in range(3)))
        before = (await world.host.state()).revisions[spec.revision_id]
        await world.host.start(spec)
        after = (await world.host.state()).revisions
        assert list(after) == [spec.revision_id]
        assert after[spec.revision_id].worker_pid == before.worker_pid

    async def test_an_id_never_changes_its_model(self, world: HostWorld) -> None:
        await world.host.start(world.spec(1))
        other = world.spec(2)
        clash = RevisionSpec("team", "delays", 1, other.model, "2", other.model_dir)
        with pytest.raises(RevisionConflict):
            await world.host.start(clash)

    async def test_a_model_that_does_not_load_fails_its_start_and_says_why(
        self, world: HostWorld
    ) -> None:
        spec = world.spec(1, broken=True)
        for _ in range(2):
            with pytest.raises(StartFailed, match="team/delays/1"):
                await world.host.start(spec)
        status = (await world.host.state()).revisions[spec.revision_id]
        assert status.phase is Phase.FAILED
        assert status.reason
        with pytest.raises(Unavailable, match="revision 1 is failed"):
            world.host.resolve(CONTRACT_ENDPOINT)
        with pytest.raises(RevisionConflict):
            await world.host.route(CONTRACT_ENDPOINT, spec.revision_id)

    async def test_a_route_leads_only_to_a_revision_of_its_endpoint(self, world: HostWorld) -> None:
        other = world.spec(1, endpoint="other")
        await world.host.start(other)
        for revision_id in ("team/delays/9", other.revision_id):
            with pytest.raises(RevisionConflict):
                await world.host.route(CONTRACT_ENDPOINT, revision_id)
        assert (await world.host.state()).routes == {}

    async def test_a_switch_moves_new_requests_and_leaves_taken_ones(
        self, world: HostWorld
    ) -> None:
        old, new = world.spec(1), world.spec(2)
        await asyncio.gather(world.host.start(old), world.host.start(new))
        await world.host.route(CONTRACT_ENDPOINT, old.revision_id)
        taken = [_ask(world.host) for _ in range(5)]
        await world.host.route(CONTRACT_ENDPOINT, new.revision_id)
        later = [_ask(world.host) for _ in range(5)]
        await world.host.stop(old.revision_id)
        assert all(future.done() for future in taken), "stop returned before its requests' answers"
        assert await asyncio.gather(*taken) == [[[1.0]]] * 5
        assert await asyncio.gather(*later) == [[[2.0]]] * 5
        assert (await world.host.state()).routes == {CONTRACT_ENDPOINT: new.revision_id}

    async def test_a_pinned_version_is_reached_while_its_revision_lives(
        self, world: HostWorld
    ) -> None:
        old, new = world.spec(1), world.spec(2)
        await asyncio.gather(world.host.start(old), world.host.start(new))
        await world.host.route(CONTRACT_ENDPOINT, new.revision_id)
        assert world.host.versions(CONTRACT_ENDPOINT) == ("1", "2")
        assert await _ask(world.host, "1") == [[1.0]]
        await world.host.stop(old.revision_id)
        assert world.host.versions(CONTRACT_ENDPOINT) == ("2",)
        with pytest.raises(NotFound, match="no version '1': 2"):
            world.host.resolve(CONTRACT_ENDPOINT, "1")

    async def test_a_routed_revision_is_not_stopped(self, world: HostWorld) -> None:
        spec = world.spec(1)
        await world.host.start(spec)
        await world.host.route(CONTRACT_ENDPOINT, spec.revision_id)
        with pytest.raises(RevisionConflict, match="routed"):
            await world.host.stop(spec.revision_id)
        assert await _ask(world.host) == [[1.0]]

    async def test_a_stopped_revision_is_forgotten_and_stopping_again_is_nothing(
        self, world: HostWorld
    ) -> None:
        spec = world.spec(1)
        await world.host.start(spec)
        await world.host.route(CONTRACT_ENDPOINT, spec.revision_id)
        await world.host.unroute(CONTRACT_ENDPOINT)
        with pytest.raises(Unavailable):
            world.host.resolve(CONTRACT_ENDPOINT)
        stops = (world.host.stop(spec.revision_id) for _ in range(2))
        await asyncio.gather(*stops)
        await world.host.stop(spec.revision_id)
        assert (await world.host.state()) == HostState()
        with pytest.raises(NotFound, match="no endpoint 'delays'"):
            world.host.resolve(CONTRACT_ENDPOINT)
        await world.host.unroute(CONTRACT_ENDPOINT)


def _ask(host: InferenceRouter, version: str | None = None) -> "asyncio.Future[Outputs]":
    return host.resolve(CONTRACT_ENDPOINT, version).submit(ONE_ROW, size_bytes=100)
