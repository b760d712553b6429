"""A model host in memory, for tests of handlers and of the HTTP front."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from penstock_serving.errors import RevisionConflict, StartFailed
from penstock_serving.oip import InferRequest, Signature
from penstock_serving.ports import (
    EndpointKey,
    HostState,
    Outputs,
    Phase,
    RevisionId,
    RevisionSpec,
    RevisionStatus,
)
from penstock_serving.routing import (
    TAKES_REQUESTS,
    RoutingTable,
    check_routable,
    live_versions,
    not_routed,
    pinned,
)


@dataclass(frozen=True, slots=True)
class FakeModel:
    """A model without a process: its signature and a function from a request to its outputs."""

    signature: Signature
    predict: Callable[[InferRequest], Outputs]


Load = Callable[[RevisionSpec], FakeModel]


@dataclass(eq=False)
class FakeRevision:
    """A live revision of the fake; implements `Target`."""

    spec: RevisionSpec
    answering: asyncio.Event
    taken: asyncio.Event
    withdrawn: asyncio.Event
    model: FakeModel | None = None
    phase: Phase = Phase.LOADING
    reason: str | None = None
    loads: int = 0
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    pending: "set[asyncio.Task[Outputs]]" = field(default_factory=set)

    @property
    def signature(self) -> Signature:
        """The model's signature."""
        assert self.model is not None
        return self.model.signature

    @property
    def ready(self) -> bool:
        """Whether it answers now."""
        return self.phase is Phase.READY

    def submit(self, request: InferRequest, size_bytes: int) -> "asyncio.Future[Outputs]":
        """Answer as soon as `FakeModelHost.answering` is set."""
        task = asyncio.get_running_loop().create_task(self._answer(request))
        self.pending.add(task)
        task.add_done_callback(self._on_done)
        self.taken.set()
        return task

    def _on_done(self, task: "asyncio.Task[Outputs]") -> None:
        self.pending.discard(task)
        if task.cancelled():
            self.withdrawn.set()

    async def _answer(self, request: InferRequest) -> Outputs:
        await self.answering.wait()
        assert self.model is not None
        return self.model.predict(request)

    def status(self) -> RevisionStatus:
        """A snapshot."""
        waiting = len(self.pending)
        return RevisionStatus(self.spec, self.phase, self.reason, waiting=waiting)


class FakeModelHost:
    """`ModelHost` and `InferenceRouter` in memory.

    `load` gives the model of a spec or raises `StartFailed`. Clear `loading` to make starts wait,
    and `answering` to keep requests in flight; `taken` and `withdrawn` tell that a request was
    submitted and cancelled. `calls` records the control calls in order.
    """

    def __init__(self, load: Load) -> None:
        self._load = load
        self._revisions: dict[RevisionId, FakeRevision] = {}
        self._table = RoutingTable()
        self.calls: list[tuple[str, str]] = []
        self.loads: list[RevisionId] = []
        self.loading = asyncio.Event()
        self.loading.set()
        self.answering = asyncio.Event()
        self.answering.set()
        self.taken = asyncio.Event()
        self.withdrawn = asyncio.Event()

    async def start(self, revision: RevisionSpec) -> None:
        """See `ModelHost.start`."""
        self.calls.append(("start", revision.revision_id))
        known = self._revisions.get(revision.revision_id)
        if known is not None and known.spec != revision:
            raise RevisionConflict(f"revision {revision.revision_id} has another model")
        if known is not None and known.phase is Phase.DRAINING:
            raise RevisionConflict(f"revision {revision.revision_id} is being stopped")
        if known is not None and known.phase is not Phase.FAILED:
            await known.settled.wait()
        else:
            known = FakeRevision(revision, self.answering, self.taken, self.withdrawn)
            self._revisions[revision.revision_id] = known
            await self._start(known)
        if known.phase not in TAKES_REQUESTS:
            raise StartFailed(f"revision {revision.revision_id}: {known.reason}")

    async def _start(self, revision: FakeRevision) -> None:
        await self.loading.wait()
        self.loads.append(revision.spec.revision_id)
        try:
            revision.model = self._load(revision.spec)
        except StartFailed as error:
            revision.phase, revision.reason = Phase.FAILED, error.reason
        else:
            revision.phase = Phase.READY
        revision.settled.set()

    async def route(self, endpoint: EndpointKey, revision_id: RevisionId) -> None:
        """See `ModelHost.route`."""
        self.calls.append(("route", revision_id))
        revision = self._revisions.get(revision_id)
        check_routable(endpoint, revision_id, revision.status() if revision else None)
        self._table = self._table.routed(endpoint, revision_id)

    async def unroute(self, endpoint: EndpointKey) -> None:
        """See `ModelHost.unroute`."""
        self.calls.append(("unroute", "/".join(endpoint)))
        self._table = self._table.unrouted(endpoint)

    async def stop(self, revision_id: RevisionId) -> None:
        """See `ModelHost.stop`."""
        self.calls.append(("stop", revision_id))
        if self._table.leads_to(revision_id):
            raise RevisionConflict(f"revision {revision_id} is routed to")
        revision = self._revisions.get(revision_id)
        if revision is None:
            return
        revision.phase = Phase.DRAINING
        await asyncio.gather(*revision.pending, return_exceptions=True)
        self._revisions.pop(revision_id, None)

    async def state(self) -> HostState:
        """See `ModelHost.state`."""
        return HostState(self._statuses(), dict(self._table.routes))

    def resolve(self, endpoint: EndpointKey, version: str | None = None) -> FakeRevision:
        """See `InferenceRouter.resolve`."""
        revision_id = self._table.routes.get(endpoint)
        if version is not None:
            revision_id = pinned(endpoint, version, self._statuses())
        if revision_id is None:
            raise not_routed(endpoint, self._statuses())
        return self._revisions[revision_id]

    def versions(self, endpoint: EndpointKey) -> tuple[str, ...]:
        """See `InferenceRouter.versions`."""
        return live_versions(endpoint, self._statuses())

    def _statuses(self) -> Mapping[RevisionId, RevisionStatus]:
        return {key: revision.status() for key, revision in self._revisions.items()}
