"""The cluster as the log tells it: nodes, queues, jobs that wait, and who holds what.

CPU is counted in whole thousandths of a core, so that sums are exact: a job's need is rounded up
and a node's offer down. What is held is kept beside the jobs and moves with them, one event at a
time; the tests compare it with a fresh count.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from penstock_chassis.message import Cause
from penstock_schemas import NodeRegistered, Resources

MILLI = 1000
"""Thousandths in a CPU core."""
DEFAULT_QUEUE = "default"
"""The queue that every namespace has without asking for it."""
ANSWERED_MAX = 32
"""Requests remembered under the id of one job. One that comes again after so many others under its
id would be judged anew."""

Key = tuple[str, str]
"""Namespace, and the id of a job or the name of a queue."""


class Phase(Enum):
    """Where a live job stands."""

    ASKED = "asked"
    """Requested; neither queued nor refused yet."""
    WAITING = "waiting"
    PLACED = "placed"
    FAILED = "failed"
    """Its last attempt failed and was not the last one allowed; it is not queued again yet."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a job takes or a node offers, in exact units."""

    cpu_milli: int
    memory_bytes: int
    """0: not declared, so not counted."""
    gpu: int


def need(resources: Resources) -> Shape:
    """A job's need; a fraction of a thousandth of a core counts as a whole one."""
    cpu_milli = math.ceil(_milli(resources.cpu))
    return Shape(cpu_milli, resources.memory_bytes, resources.gpu)


def offer(resources: Resources) -> Shape:
    """A node's offer."""
    cpu_milli = math.floor(_milli(resources.cpu))
    return Shape(cpu_milli, resources.memory_bytes, resources.gpu)


def quota(cpu: float | None, gpu: int | None) -> "Quota":
    """A queue's limits as they are counted."""
    return Quota(None if cpu is None else math.floor(_milli(cpu)), gpu)


def _milli(cpu: float) -> float:
    """Thousandths of a core, without the noise of binary fractions (1.1 cores are 1100)."""
    return round(cpu * MILLI, 6)


@dataclass(frozen=True, slots=True)
class Node:
    """A node. Only a `ready` one takes jobs; a lost or drained one keeps what is placed on it."""

    registered: NodeRegistered
    offer: Shape
    status: str
    """`ready`, `drained` or `lost`."""
    changes: int
    """How many events the node has had."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What placed jobs hold of one node."""

    cpu_milli: int = 0
    memory_bytes: int = 0
    gpus: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Held:
    """What the placed jobs of one queue, or of one namespace, hold."""

    cpu_milli: int = 0
    gpu: int = 0


@dataclass(frozen=True, slots=True)
class Quota:
    """The most that the jobs of a queue may hold at a time; None: no limit."""

    cpu_milli: int | None = None
    gpu: int | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A live job."""

    namespace: str
    id: str
    queue: str
    resources: Resources
    shape: Shape
    asked: int
    """The sequence of its request: its place in the queue, through all its attempts."""
    request: str
    """The id of its request."""
    cause: Cause
    """Its last event of ours (or its request): what its next placement refers back to."""
    phase: Phase = Phase.ASKED
    attempt: int = 0
    """The attempt that it waits for or that is placed; 0 before it is queued."""
    node: str = ""
    gpus: tuple[int, ...] = ()
    cancel: str | None = None
    """Why it must end, once somebody asked for that."""

    @property
    def key(self) -> Key:
        """Namespace and id."""
        return self.namespace, self.id

    @property
    def queue_key(self) -> Key:
        """Namespace and queue."""
        return self.namespace, self.queue


@dataclass
class State:
    """Everything that the scheduler decides from."""

    nodes: dict[str, Node] = field(default_factory=dict)
    queues: dict[Key, Quota] = field(default_factory=dict)
    jobs: dict[Key, Job] = field(default_factory=dict)
    """The live ones."""
    ended: dict[Key, str] = field(default_factory=dict)
    """How each job that is over ended: the verb of its last event."""
    answered: dict[Key, tuple[str, ...]] = field(default_factory=dict)
    """By id of a job: the requests under it that were refused, or whose job is over; the last
    `ANSWERED_MAX`."""
    waiting: dict[Key, list[tuple[int, str]]] = field(default_factory=dict)
    """By queue, the jobs that wait, in the order of their requests: (request sequence, id)."""
    usage: dict[str, Usage] = field(default_factory=dict)
    """By node."""
    held: dict[Key, Held] = field(default_factory=dict)
    """By queue."""
    shares: dict[str, Held] = field(default_factory=dict)
    """By namespace."""
    wishes: set[Key] = field(default_factory=set)
    """Requests for queues that are not answered yet: namespace and event id."""
    pages: dict[str, int] = field(default_factory=dict)
    """The number of the last plan, by ledger."""

    def answer(self, job: Key, request: str) -> None:
        """Remember that a request has its answer, so that its redelivery gets no second one."""
        known = self.answered.get(job, ())
        if request not in known:
            self.answered[job] = (*known, request)[-ANSWERED_MAX:]

    def ready_nodes(self) -> Iterator[tuple[str, Node]]:
        """The nodes that take jobs, by name."""
        return ((name, self.nodes[name]) for name in sorted(self.nodes) if self.takes_jobs(name))

    def takes_jobs(self, node: str) -> bool:
        """Whether new jobs may be placed on the node."""
        return self.nodes[node].status == "ready"

    def quota_of(self, queue: Key) -> Quota:
        """The queue's limits."""
        return self.queues.get(queue, Quota())
