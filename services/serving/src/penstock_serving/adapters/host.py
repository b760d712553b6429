"""Models in worker processes beside this one: the ports `ModelHost` and `InferenceRouter`."""

import asyncio
from dataclasses import replace

from penstock_serving.adapters.revision import Revision, WorkerLimits
from penstock_serving.adapters.worker_template import WorkerTemplate
from penstock_serving.errors import RevisionConflict
from penstock_serving.ports import EndpointKey, HostState, Phase, RevisionId, RevisionSpec
from penstock_serving.routing import (
    TAKES_REQUESTS,
    RoutingTable,
    check_routable,
    live_versions,
    not_routed,
    pinned,
)


class ProcessModelHost:
    """One worker process per revision, all forked from one template process.

    Call from one event loop only. `close()` ends every worker; so does the death of this process.
    """

    def __init__(
        self, template: WorkerTemplate | None = None, limits: WorkerLimits | None = None
    ) -> None:
        self._owns_template = template is None
        self._template = template or WorkerTemplate()
        self._limits = limits or WorkerLimits()
        self._revisions: dict[RevisionId, Revision] = {}
        self._ending: dict[RevisionId, asyncio.Task[None]] = {}
        self._table = RoutingTable()

    async def start(self, revision: RevisionSpec) -> None:
        """See `ModelHost.start`."""
        spec = replace(revision, model_dir=revision.model_dir.resolve())
        known = self._revisions.get(spec.revision_id)
        if known is not None and known.spec != spec:
            raise RevisionConflict(
                f"revision {spec.revision_id} is on this host with another model:"
                " a new model needs a new revision number"
            )
        if known is not None and known.phase is Phase.DRAINING:
            raise RevisionConflict(f"revision {spec.revision_id} is being stopped")
        if known is None or known.never_started:
            known = Revision(spec, self._template, self._limits)
            self._revisions[spec.revision_id] = known
        await known.started()

    async def route(self, endpoint: EndpointKey, revision_id: RevisionId) -> None:
        """See `ModelHost.route`."""
        revision = self._revisions.get(revision_id)
        check_routable(endpoint, revision_id, revision.status() if revision else None)
        self._table = self._table.routed(endpoint, revision_id)

    async def unroute(self, endpoint: EndpointKey) -> None:
        """See `ModelHost.unroute`."""
        self._table = self._table.unrouted(endpoint)

    async def stop(self, revision_id: RevisionId) -> None:
        """See `ModelHost.stop`."""
        if self._table.leads_to(revision_id):
            raise RevisionConflict(
                f"revision {revision_id} is routed to: route its endpoint elsewhere first"
            )
        revision = self._revisions.get(revision_id)
        if revision is None:
            return
        if revision_id not in self._ending:
            self._ending[revision_id] = asyncio.create_task(self._end(revision))
        # Shielded: a caller that gives up must not leave a revision half drained.
        await asyncio.shield(self._ending[revision_id])

    async def state(self) -> HostState:
        """See `ModelHost.state`."""
        return HostState(
            revisions={key: revision.status() for key, revision in self._revisions.items()},
            routes=dict(self._table.routes),
        )

    async def close(self) -> None:
        """Drain and end everything."""
        self._table = RoutingTable()
        await asyncio.gather(*(self.stop(revision_id) for revision_id in list(self._revisions)))
        if self._owns_template:
            self._template.close()

    def resolve(self, endpoint: EndpointKey, version: str | None = None) -> Revision:
        """See `InferenceRouter.resolve`."""
        revision_id = self._table.routes.get(endpoint)
        if version is not None:
            statuses = {key: revision.status() for key, revision in self._revisions.items()}
            revision_id = pinned(endpoint, version, statuses)
        revision = self._revisions.get(revision_id) if revision_id else None
        if revision is None or revision.phase not in TAKES_REQUESTS:
            statuses = {key: revision.status() for key, revision in self._revisions.items()}
            raise not_routed(endpoint, statuses)
        return revision

    def versions(self, endpoint: EndpointKey) -> tuple[str, ...]:
        """See `InferenceRouter.versions`."""
        return live_versions(endpoint, {k: r.status() for k, r in self._revisions.items()})

    async def _end(self, revision: Revision) -> None:
        await revision.end()
        del self._revisions[revision.spec.revision_id]
        del self._ending[revision.spec.revision_id]
