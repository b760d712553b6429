"""The cluster as the scheduler sees it: nodes, queues and its ledger of plans."""

from typing import Annotated, Any

from pydantic import Field

from penstock_schemas.event import ADMIN, ANYONE, Event, upcaster
from penstock_schemas.names import Name
from penstock_schemas.nouns.parts import Count, Positive, Reason, Refusal, Resources


class NodeRegistered(Event):
    """A node offers its resources. Version 1 said `cpus` and `gpus` beside the name."""

    type = "node.registered"
    version = 2
    key = "node"
    owner = "scheduler"
    example = {
        "node": "laptop",
        "resources": {"cpu": 2, "memory_bytes": 8_589_934_592, "gpu": 0},
        "labels": {"accelerator": "none"},
    }

    node: Name
    resources: Resources
    labels: Annotated[dict[str, str], Field(description="Free labels of the node")] = {}


@upcaster("node.registered", 1)
def _resources_in_one_place(old: dict[str, Any]) -> dict[str, Any]:
    """Version 2 gathers what a node offers, as jobs already asked for it."""
    return {
        "node": old["node"],
        "resources": {"cpu": old["cpus"], "gpu": old.get("gpus", 0)},
        "labels": old.get("labels", {}),
    }


class NodeDrained(Event):
    """The node takes no further jobs."""

    type = "node.drained"
    key = "node"
    owner = "scheduler"
    example = {"node": "laptop", "reason": "maintenance"}

    node: Name
    reason: Reason


class NodeLost(Event):
    """The node is gone, with what ran on it."""

    type = "node.lost"
    key = "node"
    owner = "scheduler"
    example = {"node": "laptop", "reason": "no heartbeat for 60 s"}

    node: Name
    reason: Reason


class QueueRequested(Event):
    """Create or change a queue: the most that its jobs may hold at a time (absent: no limit)."""

    type = "queue.requested"
    key = "queue"
    owner = ANYONE
    sender_role = ADMIN
    declarative = True
    example = {"queue": "research", "cpu_quota": 16, "gpu_quota": 4}

    queue: Name
    cpu_quota: Annotated[float | None, Field(ge=0, description="CPU cores")] = None
    gpu_quota: Annotated[int | None, Field(ge=0, description="Whole GPUs")] = None


class QueueConfigured(Event):
    """The queue exists with these limits from here on."""

    type = "queue.configured"
    key = "queue"
    owner = "scheduler"
    example = {"queue": "research", "cpu_quota": 16, "gpu_quota": 4}

    queue: Name
    cpu_quota: Annotated[float | None, Field(ge=0, description="CPU cores")] = None
    gpu_quota: Annotated[int | None, Field(ge=0, description="Whole GPUs")] = None


class QueueRejected(Event, Refusal):
    """The queue could not be made as asked."""

    type = "queue.rejected"
    key = "queue"
    owner = "scheduler"
    example = {
        "queue": "research",
        "request": "0190c2a4-7b1e-7c30-8f00-000000000001",
        "reason": "the quota of 4 GPUs is above the cluster's 2",
        "field": "gpu_quota",
        "fix": "ask for at most 2",
    }

    queue: Name


class PlanCommitted(Event):
    """One page of the scheduler's ledger, appended in one batch with the placements of the plan.

    Its expected sequence is what keeps two planners from placing at once.
    """

    type = "plan.committed"
    key = "plan"
    owner = "scheduler"
    example = {"plan": "default", "number": 12, "placed": 2, "preempted": 0, "waiting": 5}

    plan: Annotated[Name, Field(description="The ledger, one a cluster of nodes")]
    number: Annotated[Positive, Field(description="Number of the page, from 1")]
    placed: Annotated[Count, Field(description="Jobs placed by this plan")]
    preempted: Annotated[Count, Field(description="Jobs preempted by this plan")]
    waiting: Annotated[Count, Field(description="Jobs left waiting")]
