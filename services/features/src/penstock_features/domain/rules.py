"""What is to be computed, and what may be said about it: the decisions of the service."""

from dataclasses import dataclass

from penstock_chassis.message import Cause
from penstock_features.domain.state import Origin, State, Version
from penstock_features.errors import FeaturesError, InvalidRequestError
from penstock_schemas import Event, FeaturesRejected, FeaturesRequested

REASON_LENGTH_MAX = 900


@dataclass(frozen=True)
class Work:
    """One materialisation that is due."""

    request: FeaturesRequested
    requested: Origin
    version: Version

    @property
    def cause(self) -> Cause:
        """The later of request and version: what made the work due, whoever finds it.

        No two works of a feature set have one cause, so no two results have one id.
        """
        return max(self.requested, self.version.profiled, key=lambda it: it.sequence).cause


def due(state: State, namespace: str, features: str) -> Work | None:
    """What the feature set still needs: the newest profiled version, unless it is done."""
    wanted = state.sets.get((namespace, features))
    if wanted is None:
        return None
    versions = state.versions.get((namespace, wanted.request.dataset))
    if not versions:
        return None
    version = next(reversed(versions.values()))
    if wanted.is_done(version.digest):
        return None
    return Work(wanted.request, wanted.requested, version)


def sets_of(state: State, namespace: str, dataset: str) -> list[str]:
    """The feature sets that are kept up to date from a dataset, sorted."""
    return sorted(
        features
        for (where, features), wanted in state.sets.items()
        if where == namespace and wanted.request.dataset == dataset
    )


def decide_done(state: State, work: Work, result: Event) -> list[Event]:
    """Append the result, unless there is one or the request is no longer the newest."""
    wanted = state.sets.get((work.cause.namespace, work.request.features))
    if wanted is None or wanted.requested != work.requested or wanted.is_done(work.version.digest):
        return []
    return [result]


def refusal(work: Work, error: FeaturesError) -> FeaturesRejected:
    """The refusal that a fault of the request or of the repository ends in."""
    field, fix = "repository", "correct the repository, upload it and request the features again"
    if isinstance(error, InvalidRequestError):
        named = str(error).partition(":")[0]
        field = named if named in FeaturesRequested.model_fields else "entity_table"
        fix = f"request the features again with another {field}, or register corrected data"
    return _refusal(work, str(error), field, fix)


def missing(work: Work, field: str, error: Exception) -> FeaturesRejected:
    """The refusal where stored bytes are gone or damaged; `field` says which."""
    return _refusal(
        work,
        f"the {field} cannot be read: {error}",
        field,
        f"upload the {field} again and request the features again",
    )


def _refusal(work: Work, reason: str, field: str, fix: str) -> FeaturesRejected:
    return FeaturesRejected(
        features=work.request.features,
        dataset_version=work.version.digest,
        request=work.requested.cause.id,
        reason=reason[:REASON_LENGTH_MAX],
        field=field,
        fix=fix,
    )
