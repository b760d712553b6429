"""The tree of queues: what each may hold, what it is owed, and by what right a job starts.

A queue has, for CPU and for GPUs, a *quota* (what it is owed) and a *borrowing limit* (how far
above its quota it may go; None: as far as there is room). A queue without a quota is owed nothing
and limited by nothing. What a queue does not use others may borrow, until it asks for it. A parent
holds what its children hold; its own quota and limit bound them together. Terms and meaning follow
Kueue's ClusterQueues and Cohorts (kueue.sigs.k8s.io/docs/concepts/cluster_queue).

What a job needs of a queue falls into a tier: OWED where it stays within the quota of the queue,
or of one of its ancestors; BORROWED where it goes above all of them, within the limits.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum

Key = tuple[str, str]
"""Namespace, and the id of a job or the name of a queue."""

DEPTH_MAX = 8
"""Queues on the way from a queue to its root."""


class Tier(IntEnum):
    """By what right a job starts; the lower goes first."""

    OWED = 0
    PROBE = 1
    """The first minutes of any job, whatever its queue is owed."""
    BORROWED = 2


@dataclass(frozen=True, slots=True)
class Amount:
    """CPU in thousandths of a core, GPUs in thousandths of a device."""

    cpu: int = 0
    gpu: int = 0


@dataclass(frozen=True, slots=True)
class Limit:
    """A bound for CPU and for GPUs, as `Amount`; None: unbounded."""

    cpu: int | None = None
    gpu: int | None = None


@dataclass(frozen=True, slots=True)
class QueueSpec:
    """A queue as it was configured."""

    key: Key
    parent: Key | None = None
    quota: Limit = Limit()
    borrowing: Limit = Limit(0, 0)
    weight: float = 1.0


@dataclass(slots=True)
class Queue:
    """A queue and what its jobs, and those of its children, hold."""

    spec: QueueSpec
    cpu: int = 0
    gpu: int = 0

    def above_limit(self, need: Amount) -> bool:
        """Whether it may not hold this much more."""
        quota, borrowing = self.spec.quota, self.spec.borrowing
        return (
            need.cpu > 0
            and quota.cpu is not None
            and borrowing.cpu is not None
            and self.cpu + need.cpu > quota.cpu + borrowing.cpu
        ) or (
            need.gpu > 0
            and quota.gpu is not None
            and borrowing.gpu is not None
            and self.gpu + need.gpu > quota.gpu + borrowing.gpu
        )

    def owes(self, need: Amount) -> bool:
        """Whether it would be within its quota with this much more, of what is needed at all."""
        quota = self.spec.quota
        if quota.cpu is None and quota.gpu is None:
            return False
        return (need.cpu <= 0 or quota.cpu is None or self.cpu + need.cpu <= quota.cpu) and (
            need.gpu <= 0 or quota.gpu is None or self.gpu + need.gpu <= quota.gpu
        )

    def is_above_quota(self) -> bool:
        """Whether it holds more than it is owed."""
        quota = self.spec.quota
        return (
            (quota.cpu is None and quota.gpu is None)
            or (quota.cpu is not None and self.cpu > quota.cpu)
            or (quota.gpu is not None and self.gpu > quota.gpu)
        )


@dataclass(slots=True)
class Quotas:
    """All queues. An unknown one has no quota, no limit and no parent."""

    queues: dict[Key, Queue] = field(default_factory=dict)
    children: dict[Key, set[Key]] = field(default_factory=dict)

    def configure(self, spec: QueueSpec) -> None:
        """Make a queue, or change it; what it holds stays held. A parent is never below its
        child."""
        queue = self.of(spec.key)
        old, held = queue.spec.parent, Amount(queue.cpu, queue.gpu)
        if old != spec.parent:
            self.hold(old, held, -1)
            if old is not None:
                self.children[old].discard(spec.key)
            if spec.parent is not None:
                self.children.setdefault(spec.parent, set()).add(spec.key)
        queue.spec = spec
        if old != spec.parent:
            self.hold(spec.parent, held, +1)

    def of(self, key: Key) -> Queue:
        """The queue, made where nobody configured it."""
        found = self.queues.get(key)
        if found is None:
            found = self.queues[key] = Queue(QueueSpec(key))
        return found

    def path(self, key: Key | None) -> Iterator[Queue]:
        """The queue and its ancestors, itself first."""
        while key is not None:
            queue = self.of(key)
            yield queue
            key = queue.spec.parent

    def hold(self, key: Key | None, amount: Amount, sign: int) -> None:
        """A job of the queue takes this much, or gives it back (`sign` -1)."""
        while key is not None:
            queue = self.queues.get(key) or self.of(key)
            queue.cpu += sign * amount.cpu
            queue.gpu += sign * amount.gpu
            key = queue.spec.parent

    def tier(self, key: Key, need: Amount) -> Tier | None:
        """By what right the queue may hold this much more; None: by none."""
        tier = Tier.BORROWED
        at: Key | None = key
        while at is not None:
            queue = self.queues.get(at) or self.of(at)
            if queue.above_limit(need):
                return None
            if tier is Tier.BORROWED and queue.owes(need):
                tier = Tier.OWED
            at = queue.spec.parent
        return tier

    def borrows(self, key: Key, beneficiary: Key) -> bool:
        """Whether a job of `key` uses what some queue above it borrows, and `beneficiary` is
        outside of that queue: what it uses may be reclaimed for the beneficiary."""
        inside = {queue.spec.key for queue in self.path(beneficiary)}
        for queue in self.path(key):
            if queue.spec.key in inside:
                return False
            if queue.is_above_quota():
                return True
        return False
