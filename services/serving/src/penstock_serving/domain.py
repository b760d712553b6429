"""Endpoints and their rollouts: what the log says, and which rollout must follow. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from penstock_chassis.message import Cause, Recorded
from penstock_schemas import (
    EndpointReady,
    EndpointRejected,
    EndpointRequested,
    Event,
    ModelDemoted,
    ModelPromoted,
    ModelRegistered,
    ObjectRef,
    RolloutAdvanced,
    RolloutCompleted,
    RolloutRolledback,
    RolloutStarted,
)

Key = tuple[str, str]
"""Namespace, and the name of an endpoint or of a model."""
REASON_LENGTH_MAX = 1000
"""Characters of a reason that quotes what went wrong."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What was asked for first under this name, and whether it has ever answered."""

    request: EndpointRequested
    ready: bool = False


@dataclass(frozen=True, slots=True)
class Rollout:
    """One revision on its way; `cause` is its start, from which its end is derived."""

    started: RolloutStarted
    cause: Cause
    time: datetime
    phase: Literal["started", "completed", "rolledback"] = "started"


@dataclass
class State:
    """Every key starts with the namespace."""

    artifacts: dict[tuple[str, str, int], ObjectRef] = field(default_factory=dict)
    """By namespace, model and version."""
    aliases: dict[tuple[str, str, str], int] = field(default_factory=dict)
    """By namespace, model and alias: the version that it names."""
    endpoints: dict[Key, Endpoint] = field(default_factory=dict)
    rollouts: dict[Key, dict[int, Rollout]] = field(default_factory=dict)
    """By endpoint and revision, in order."""
    rejected: set[Key] = field(default_factory=set)
    """Namespace and id of the refused requests."""


def evolve(state: State, recorded: Recorded) -> State:
    """The state after an event."""
    ns, event = recorded.namespace, recorded.event
    match event:
        case ModelRegistered():
            state.artifacts[ns, event.model, event.model_version] = event.artifact
        case ModelPromoted():
            state.aliases[ns, event.model, event.alias] = event.model_version
        case ModelDemoted():
            if state.aliases.get((ns, event.model, event.alias)) == event.model_version:
                del state.aliases[ns, event.model, event.alias]
        case EndpointRequested():
            state.endpoints.setdefault((ns, event.endpoint), Endpoint(event))
        case EndpointRejected():
            state.rejected.add((ns, event.request))
        case EndpointReady():
            known = state.endpoints.get((ns, event.endpoint))
            if known is not None:
                state.endpoints[ns, event.endpoint] = replace(known, ready=True)
        case RolloutStarted():
            rollouts = state.rollouts.setdefault((ns, event.endpoint), {})
            rollouts.setdefault(event.revision, Rollout(event, recorded.cause, recorded.time))
        case RolloutCompleted() | RolloutRolledback():
            rollouts = state.rollouts.get((ns, event.endpoint), {})
            if event.revision in rollouts:
                phase: Literal["completed", "rolledback"] = (
                    "completed" if isinstance(event, RolloutCompleted) else "rolledback"
                )
                rollouts[event.revision] = replace(rollouts[event.revision], phase=phase)
    return state


def current(state: State, endpoint: Key) -> Rollout | None:
    """The newest completed rollout: the revision that serves."""
    done = [r for r in state.rollouts.get(endpoint, {}).values() if r.phase == "completed"]
    return max(done, key=lambda rollout: rollout.started.revision, default=None)


def unfinished(state: State, endpoint: Key) -> Rollout | None:
    """The oldest rollout without an end: they are finished in the order of their revisions."""
    open_ = [r for r in state.rollouts.get(endpoint, {}).values() if r.phase == "started"]
    return min(open_, key=lambda rollout: rollout.started.revision, default=None)


def decide_endpoint(state: State, message: Recorded) -> list[Event]:
    """Start the first rollout, or refuse a name that follows something else."""
    request = message.event
    assert isinstance(request, EndpointRequested)
    first = state.endpoints[message.namespace, request.endpoint].request
    if (first.model, first.alias) == (request.model, request.alias):
        return _follow(state, message.namespace, [first])
    if (message.namespace, message.id) in state.rejected:
        return []
    return [
        EndpointRejected(
            endpoint=request.endpoint,
            request=message.id,
            reason=f"the endpoint already follows {first.alias} of the model {first.model}",
            field="model" if first.model != request.model else "alias",
            fix="choose another endpoint name",
        )
    ]


def decide_promoted(state: State, message: Recorded) -> list[Event]:
    """Start a rollout of every endpoint that follows the alias and is behind it."""
    promoted = message.event
    assert isinstance(promoted, ModelPromoted)
    followers = [
        endpoint.request
        for (ns, _), endpoint in state.endpoints.items()
        if ns == message.namespace
        and (endpoint.request.model, endpoint.request.alias) == (promoted.model, promoted.alias)
    ]
    return _follow(state, message.namespace, followers)


def decide_completed(state: State, ns: str, revision: RolloutStarted, now: datetime) -> list[Event]:
    """The revision serves; nothing where the rollout has its end."""
    rollout = _open(state, ns, revision)
    if rollout is None:
        return []
    name, number = revision.endpoint, revision.revision
    same = {"rollout": revision.rollout, "endpoint": name, "revision": number}
    events: list[Event] = [
        RolloutAdvanced.model_validate({**same, "weight_percent": 100}),
        RolloutCompleted.model_validate(
            {
                **same,
                "model": revision.model,
                "model_version": revision.model_version,
                "seconds": max(0.0, (now - rollout.time).total_seconds()),
            }
        ),
    ]
    if not state.endpoints[ns, name].ready:
        events.append(EndpointReady(endpoint=name, revision=number, path=f"/{ns}/{name}"))
    return events


def decide_rolledback(state: State, ns: str, revision: RolloutStarted, reason: str) -> list[Event]:
    """The revision is withdrawn; nothing where the rollout has its end."""
    if _open(state, ns, revision) is None:
        return []
    return [
        RolloutRolledback(
            rollout=revision.rollout,
            endpoint=revision.endpoint,
            revision=revision.revision,
            reason=reason[:REASON_LENGTH_MAX],
        )
    ]


def _open(state: State, ns: str, revision: RolloutStarted) -> Rollout | None:
    rollout = state.rollouts.get((ns, revision.endpoint), {}).get(revision.revision)
    return rollout if rollout is not None and rollout.phase == "started" else None


def _follow(state: State, ns: str, endpoints: Iterable[EndpointRequested]) -> list[Event]:
    """One rollout for each endpoint whose newest is of another version than the alias names."""
    events: list[Event] = []
    for endpoint in endpoints:
        version = state.aliases.get((ns, endpoint.model, endpoint.alias))
        artifact = state.artifacts.get((ns, endpoint.model, version)) if version else None
        rollouts = state.rollouts.get((ns, endpoint.endpoint), {})
        newest = max(rollouts, default=0)
        if version is None or artifact is None:
            continue
        if newest and rollouts[newest].started.model_version == version:
            continue
        serving = current(state, (ns, endpoint.endpoint))
        events.append(
            RolloutStarted(
                rollout=f"{endpoint.endpoint}-{newest + 1}",
                endpoint=endpoint.endpoint,
                revision=newest + 1,
                model=endpoint.model,
                model_version=version,
                artifact=artifact,
                previous_revision=serving.started.revision if serving else None,
                reason=f"{endpoint.alias} of {endpoint.model} is version {version}",
            )
        )
    return events
