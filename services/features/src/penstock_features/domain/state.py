"""What the service knows: what is wanted of which dataset, its versions, and what is done."""

from dataclasses import dataclass, field

from penstock_chassis.message import Cause, Recorded
from penstock_schemas import (
    DatasetProfiled,
    FeaturesMaterialized,
    FeaturesRejected,
    FeaturesRequested,
    ObjectRef,
)

Key = tuple[str, str]
"""A namespace and a name in it."""


@dataclass(frozen=True)
class Origin:
    """Where in the log a request or a version came from."""

    sequence: int
    cause: Cause


@dataclass(frozen=True)
class Version:
    """A profiled version of a dataset."""

    digest: str
    manifest: ObjectRef
    profiled: Origin


@dataclass
class FeatureSet:
    """One feature set: the newest request for it, and the versions that it is done with.

    A result belongs to the request that was newest when it was appended: the append is guarded
    by the feature set's sequence, and the rule compares the requests. A refusal holds for one
    request message; an equal request that comes later is tried again.
    """

    request: FeaturesRequested
    requested: Origin
    materialized: dict[str, FeaturesRequested] = field(default_factory=dict)
    """By dataset version: what it was made for."""
    rejected: dict[str, str] = field(default_factory=dict)
    """By dataset version: the id of the request that was refused."""

    def is_done(self, version: str) -> bool:
        """Whether the newest request was answered for this version."""
        return (
            self.materialized.get(version) == self.request
            or self.rejected.get(version) == self.requested.cause.id
        )


@dataclass
class State:
    """All feature sets, and the profiled versions of all datasets in their order."""

    sets: dict[Key, FeatureSet] = field(default_factory=dict)
    versions: dict[Key, dict[str, Version]] = field(default_factory=dict)
    """By dataset: each version by its digest, oldest first."""


def evolve(state: State, recorded: Recorded) -> State:
    """Fold one event."""
    event, namespace = recorded.event, recorded.namespace
    origin = Origin(recorded.sequence, recorded.cause)
    known = state.sets.get((namespace, event.id))
    if isinstance(event, FeaturesRequested):
        if known is None:
            state.sets[namespace, event.features] = FeatureSet(event, origin)
        else:
            known.request, known.requested = event, origin
    elif isinstance(event, FeaturesMaterialized) and known is not None:
        known.materialized[event.dataset_version] = known.request
    elif isinstance(event, FeaturesRejected) and known is not None:
        known.rejected[event.dataset_version or ""] = event.request
    elif isinstance(event, DatasetProfiled):
        versions = state.versions.setdefault((namespace, event.dataset), {})
        version = Version(event.dataset_version, event.manifest, origin)
        versions.setdefault(version.digest, version)
    return state
