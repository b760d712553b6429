"""Models: versions, aliases and how a version earns one."""

from typing import Annotated

from pydantic import Field

from penstock_schemas.event import ANYONE, Event, Value
from penstock_schemas.names import Digest, Name
from penstock_schemas.nouns.parts import (
    REF,
    Alias,
    Gate,
    Metrics,
    ModelVersion,
    ObjectRef,
    Params,
    Reason,
    Refusal,
)


class Lineage(Value):
    """What a model version was made from, as far as it is known."""

    job: Name | None = None
    trial: Name | None = None
    experiment: Name | None = None
    source: Annotated[Digest | None, Field(description="The code that trained it")] = None
    inputs: Annotated[dict[str, Digest], Field(description="What the job read")] = {}
    params: Params = {}


class ModelRegistered(Event):
    """A version of the model exists; versions are numbered from 1 without gaps."""

    type = "model.registered"
    key = "model"
    owner = "registry"
    example = {
        "model": "flight-lateness",
        "model_version": 2,
        "artifact": REF | {"kind": "folder"},
        "metrics": {"auc": 0.71},
        "lineage": {"trial": "flights-1-4", "experiment": "flights-1"},
    }

    model: Name
    model_version: ModelVersion
    artifact: ObjectRef
    metrics: Metrics = {}
    lineage: Lineage = Lineage()


class ModelPromoted(Event):
    """The alias now names this version; `evidence` is what the gate measured."""

    type = "model.promoted"
    key = "model"
    owner = "registry"
    example = {
        "model": "flight-lateness",
        "model_version": 2,
        "alias": "champion",
        "previous_version": 1,
        "promotion": "0190c2a4-7b1e-7c30-8f00-00000000b001",
        "evidence": {"candidate_auc": 0.71, "incumbent_auc": 0.5},
        "reason": "auc 0.710 beats 0.500 of version 1 by 0.210 (needed: more than 0.005)",
    }

    model: Name
    model_version: ModelVersion
    alias: Alias
    previous_version: Annotated[
        ModelVersion | None, Field(description="The version that it named before, if any")
    ] = None
    promotion: Name
    evidence: Metrics = {}
    reason: Reason


class ModelDemoted(Event):
    """The alias no longer names this version, and no other took its place."""

    type = "model.demoted"
    key = "model"
    owner = "registry"
    example = {
        "model": "flight-lateness",
        "model_version": 2,
        "alias": "champion",
        "reason": "withdrawn by its owner",
    }

    model: Name
    model_version: ModelVersion
    alias: Alias
    reason: Reason


class PromotionRequested(Event):
    """Put a version forward for an alias, through `gate` where one is given."""

    type = "promotion.requested"
    key = "promotion"
    owner = ANYONE
    example = {
        "promotion": "0190c2a4-7b1e-7c30-8f00-00000000b001",
        "model": "flight-lateness",
        "model_version": 2,
        "alias": "champion",
        "gate": {
            "program": {"command": ["{python}", "evaluate.py"], "source": REF | {"kind": "folder"}},
            "objective": {"metric": "auc", "goal": "maximize"},
            "inputs": {"holdout": REF},
            "min_gain": 0.005,
        },
    }

    promotion: Name
    model: Name
    model_version: ModelVersion
    alias: Alias = "champion"
    gate: Gate | None = None


class PromotionRefused(Event):
    """The version did not earn the alias, and why; the incumbent stays."""

    type = "promotion.refused"
    key = "promotion"
    owner = "registry"
    example = {
        "promotion": "0190c2a4-7b1e-7c30-8f00-00000000b001",
        "model": "flight-lateness",
        "model_version": 3,
        "alias": "champion",
        "evidence": {"candidate_auc": 0.70, "incumbent_auc": 0.71},
        "reason": "auc 0.700 does not beat 0.710 of version 2 by more than 0.005",
    }

    promotion: Name
    model: Name
    model_version: ModelVersion
    alias: Alias
    evidence: Metrics = {}
    reason: Reason


class PromotionRejected(Event, Refusal):
    """The promotion cannot be judged as asked."""

    type = "promotion.rejected"
    key = "promotion"
    owner = "registry"
    example = {
        "promotion": "0190c2a4-7b1e-7c30-8f00-00000000b001",
        "request": "0190c2a4-7b1e-7c30-8f00-000000000001",
        "reason": "model flight-lateness has no version 9; the newest is 3",
        "field": "model_version",
        "fix": "name a registered version",
    }

    promotion: Name
