"""Which revision answers for which endpoint: an immutable table, replaced as a whole.

A reader holds one table and sees one consistent answer; a switch is one assignment. The rules
here are pure and shared by the real host and the fake.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from penstock_serving.errors import NotFound, RevisionConflict, Unavailable
from penstock_serving.ports import EndpointKey, Phase, RevisionId, RevisionStatus

TAKES_REQUESTS = frozenset({Phase.READY, Phase.RESTARTING})


@dataclass(frozen=True, slots=True)
class RoutingTable:
    """Endpoint to revision. Later: weights, a shadow, overrides by header."""

    routes: Mapping[EndpointKey, RevisionId] = field(default_factory=dict)

    def routed(self, endpoint: EndpointKey, revision_id: RevisionId) -> "RoutingTable":
        """The table in which the endpoint leads to that revision."""
        return RoutingTable({**self.routes, endpoint: revision_id})

    def unrouted(self, endpoint: EndpointKey) -> "RoutingTable":
        """The table without the endpoint."""
        return RoutingTable({k: v for k, v in self.routes.items() if k != endpoint})

    def leads_to(self, revision_id: RevisionId) -> bool:
        """Whether any endpoint leads to the revision."""
        return revision_id in self.routes.values()


def check_routable(
    endpoint: EndpointKey, revision_id: RevisionId, status: RevisionStatus | None
) -> None:
    """Raise `RevisionConflict` where the endpoint may not lead to the revision, saying why."""
    if status is None:
        raise RevisionConflict(f"no revision {revision_id} on this host: start it first")
    if status.spec.endpoint_key != endpoint:
        raise RevisionConflict(f"revision {revision_id} belongs to another endpoint")
    if status.phase not in TAKES_REQUESTS:
        raise RevisionConflict(f"revision {revision_id} is {status.phase}: it must be ready")


def pinned(
    endpoint: EndpointKey, version: str, statuses: Mapping[RevisionId, RevisionStatus]
) -> RevisionId:
    """The newest live revision of a model version; raises `NotFound` naming those there are."""
    live = [s for s in _of(endpoint, statuses) if s.phase in TAKES_REQUESTS]
    matching = [s for s in live if s.spec.model_version == version]
    if not matching:
        there = ", ".join(sorted({s.spec.model_version for s in live})) or "none"
        raise NotFound(f"endpoint {endpoint.endpoint!r} has no version {version[:63]!r}: {there}")
    return max(matching, key=lambda s: s.spec.revision).spec.revision_id


def not_routed(
    endpoint: EndpointKey, statuses: Mapping[RevisionId, RevisionStatus]
) -> NotFound | Unavailable:
    """Why nobody answers: the endpoint is unknown, or none of its revisions is ready."""
    known = _of(endpoint, statuses)
    if not known:
        return NotFound(
            f"no endpoint {endpoint.endpoint!r} in namespace {endpoint.namespace!r}:"
            " check the URL, which starts with /NAMESPACE/ENDPOINT"
        )
    newest = max(known, key=lambda status: status.spec.revision)
    why = f": {newest.reason}" if newest.reason else ""
    return Unavailable(
        f"endpoint {endpoint.endpoint!r} has no revision ready"
        f" (revision {newest.spec.revision} is {newest.phase}{why})"
    )


def live_versions(
    endpoint: EndpointKey, statuses: Mapping[RevisionId, RevisionStatus]
) -> tuple[str, ...]:
    """The model versions of an endpoint that take requests, oldest revision first."""
    live = sorted(
        (s.spec.revision, s) for s in _of(endpoint, statuses) if s.phase in TAKES_REQUESTS
    )
    return tuple(dict.fromkeys(status.spec.model_version for _, status in live))


def _of(
    endpoint: EndpointKey, statuses: Mapping[RevisionId, RevisionStatus]
) -> list[RevisionStatus]:
    return [status for status in statuses.values() if status.spec.endpoint_key == endpoint]
