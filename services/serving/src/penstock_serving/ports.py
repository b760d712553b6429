"""The roles that the serving service needs from the world: a host for models.

`ModelHost` is the control side: what the service's handlers call. `InferenceRouter` is the data
side: what an HTTP front asks for each request. One object plays both, because a switch must be
seen by both at the same instant. Contract: `penstock_serving.testing.ModelHostContract`.
"""

from asyncio import Future
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, Protocol, TypeAlias

from penstock_serving.oip.request import Column, InferRequest
from penstock_serving.oip.signature import Signature

RevisionId: TypeAlias = str
"""`namespace/endpoint/revision`, unique in a platform."""

Outputs: TypeAlias = list[Column]
"""One flat column per requested output, in the order of the request."""


class EndpointKey(NamedTuple):
    """An endpoint's full name."""

    namespace: str
    endpoint: str


@dataclass(frozen=True, slots=True)
class RevisionSpec:
    """One immutable revision of an endpoint: a number that never comes twice, and its model.

    `model_dir` is local and complete; the caller has verified its digest.
    """

    namespace: str
    endpoint: str
    revision: int
    model: str
    model_version: str
    model_dir: Path

    @property
    def endpoint_key(self) -> EndpointKey:
        """The endpoint that this is a revision of."""
        return EndpointKey(self.namespace, self.endpoint)

    @property
    def revision_id(self) -> RevisionId:
        """The id under which the host knows this revision."""
        return f"{self.namespace}/{self.endpoint}/{self.revision}"


class Phase(StrEnum):
    """Where a revision is in its life on this host."""

    LOADING = "loading"
    READY = "ready"
    RESTARTING = "restarting"  # the worker died; requests wait for the next one
    DRAINING = "draining"  # takes no new requests
    FAILED = "failed"  # could not load, or could not load again; see the reason


@dataclass(frozen=True, slots=True)
class RevisionStatus:
    """What the host knows of one revision; `waiting` counts requests queued and in flight."""

    spec: RevisionSpec
    phase: Phase
    reason: str | None = None
    restarts: int = 0
    waiting: int = 0
    start_seconds: float | None = None
    rss_bytes: int | None = None
    notes: tuple[str, ...] = ()
    worker_pid: int | None = None


@dataclass(frozen=True, slots=True)
class HostState:
    """A snapshot: every revision on the host and the revision that each endpoint routes to."""

    revisions: Mapping[RevisionId, RevisionStatus] = field(default_factory=dict)
    routes: Mapping[EndpointKey, RevisionId] = field(default_factory=dict)


class ModelHost(Protocol):
    """Runs model revisions and decides which one answers for an endpoint.

    Every call is idempotent. Nothing survives the host's process: after a restart the service
    starts and routes again what the log says, before it opens the front.
    """

    async def start(self, revision: RevisionSpec) -> None:
        """Load the model, warm it up, and only then return; a second start joins the first.

        Raises `StartFailed` (the revision then stays visible as failed, and may be started
        again), `RevisionConflict` where the id is taken by another spec or is being stopped.
        """

    async def route(self, endpoint: EndpointKey, revision_id: RevisionId) -> None:
        """From now on this revision answers; requests taken by the last one finish there.

        Raises `RevisionConflict` where the revision is not ready or belongs to another endpoint.
        """

    async def unroute(self, endpoint: EndpointKey) -> None:
        """From now on the endpoint answers 503, until routed again."""

    async def stop(self, revision_id: RevisionId) -> None:
        """Take no new requests, answer those taken, end the worker, forget the revision.

        Raises `RevisionConflict` while an endpoint routes to it. An unknown id is stopped already.
        """

    async def state(self) -> HostState:
        """What is on this host now."""


class Target(Protocol):
    """A revision that takes requests."""

    @property
    def spec(self) -> RevisionSpec:
        """Which revision this is."""

    @property
    def signature(self) -> Signature:
        """What it takes and gives."""

    @property
    def ready(self) -> bool:
        """Whether it would answer now without waiting for a worker to come back."""

    def submit(self, request: InferRequest, size_bytes: int) -> "Future[Outputs]":
        """Take one request; the future ends in its outputs or in a `ServingError`.

        Raises `Overloaded` at once where the queue is full. Cancelling the future withdraws the
        request. `size_bytes` is what the request holds in memory, about.
        """


class InferenceRouter(Protocol):
    """Finds who answers. Synchronous: a request is routed and taken in one step of the loop,
    so that no switch can come between."""

    def resolve(self, endpoint: EndpointKey, version: str | None = None) -> Target:
        """The revision that answers, or the one of the pinned model version.

        Raises `NotFound` (no such endpoint or version) or `Unavailable` (none is ready).
        """

    def versions(self, endpoint: EndpointKey) -> tuple[str, ...]:
        """The model versions that can be asked for now; empty where the endpoint is unknown."""
