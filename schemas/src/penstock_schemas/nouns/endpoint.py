"""Endpoints, their revisions and the rollouts that switch them."""

from typing import Annotated

from pydantic import Field

from penstock_schemas.event import ANYONE, Event
from penstock_schemas.names import ExperimentName, Name
from penstock_schemas.nouns.parts import (
    REF,
    Alias,
    ModelVersion,
    ObjectRef,
    Reason,
    Refusal,
    Revision,
    Seconds,
)


class EndpointRequested(Event):
    """Serve whatever version of `model` the alias names, and follow it."""

    type = "endpoint.requested"
    key = "endpoint"
    owner = ANYONE
    declarative = True
    example = {"endpoint": "flight-lateness", "model": "flight-lateness", "alias": "champion"}

    endpoint: Annotated[ExperimentName, Field(description="Rollouts are `<endpoint>-<revision>`")]
    model: Name
    alias: Alias = "champion"


class EndpointReady(Event):
    """The endpoint answers for the first time."""

    type = "endpoint.ready"
    key = "endpoint"
    owner = "serving"
    example = {"endpoint": "flight-lateness", "revision": 1, "path": "/vision/flight-lateness"}

    endpoint: Name
    revision: Revision
    path: Annotated[str, Field(description="The base path below the serving address")]


class EndpointRejected(Event, Refusal):
    """The endpoint cannot be served as asked."""

    type = "endpoint.rejected"
    key = "endpoint"
    owner = "serving"
    example = {
        "endpoint": "flight-lateness",
        "request": "0190c2a4-7b1e-7c30-8f00-000000000001",
        "reason": "the endpoint already follows the model other-model",
        "field": "model",
        "fix": "choose another endpoint name",
    }

    endpoint: Name


class RolloutStarted(Event):
    """A revision is being brought up beside the one that serves."""

    type = "rollout.started"
    key = "rollout"
    owner = "serving"
    example = {
        "rollout": "flight-lateness-2",
        "endpoint": "flight-lateness",
        "revision": 2,
        "model": "flight-lateness",
        "model_version": 3,
        "artifact": REF | {"kind": "folder"},
        "previous_revision": 1,
        "reason": "version 3 of flight-lateness was promoted to champion",
    }

    rollout: Name
    endpoint: Name
    revision: Revision
    model: Name
    model_version: ModelVersion
    artifact: ObjectRef
    previous_revision: Annotated[
        Revision | None, Field(description="The revision that serves until then, if any")
    ] = None
    reason: Reason


class RolloutAdvanced(Event):
    """The revision takes this share of the traffic."""

    type = "rollout.advanced"
    key = "rollout"
    owner = "serving"
    example = {
        "rollout": "flight-lateness-2",
        "endpoint": "flight-lateness",
        "revision": 2,
        "weight_percent": 100,
    }

    rollout: Name
    endpoint: Name
    revision: Revision
    weight_percent: Annotated[float, Field(ge=0, le=100, description="Percent of requests")]


class RolloutCompleted(Event):
    """The revision serves all traffic; the one before it was drained."""

    type = "rollout.completed"
    key = "rollout"
    owner = "serving"
    example = {
        "rollout": "flight-lateness-2",
        "endpoint": "flight-lateness",
        "revision": 2,
        "model": "flight-lateness",
        "model_version": 3,
        "seconds": 2.3,
    }

    rollout: Name
    endpoint: Name
    revision: Revision
    model: Name
    model_version: ModelVersion
    seconds: Seconds


class RolloutRolledback(Event):
    """The revision was withdrawn; the one before it serves on."""

    type = "rollout.rolledback"
    key = "rollout"
    owner = "serving"
    example = {
        "rollout": "flight-lateness-2",
        "endpoint": "flight-lateness",
        "revision": 2,
        "reason": "the model could not be loaded: model.joblib is not readable",
    }

    rollout: Name
    endpoint: Name
    revision: Revision
    reason: Reason
