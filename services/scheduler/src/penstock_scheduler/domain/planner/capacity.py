"""What is free where, indexed so that a place is found without looking at each node.

Nodes are kept in buckets by what is open on them: for each kind of accelerator by the number of
open devices, for CPU by its power of two. A bucket is one big integer with a bit a node, so "the
smallest hole that is large enough" is a few operations whatever the size of the cluster, and a
topology domain is one more `&`.

Three amounts stand beside what is free of a node: what is *taken* by jobs, what *leaves* (is still
taken by jobs that were told to go) and what is *held* for jobs that are to start there. A hold is
filled first by what leaves, so others may take `free - max(0, held - leaving)` and no more.

This module takes and gives back what it is told; which job gets what is decided elsewhere.
"""

from bisect import insort
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field

from penstock_scheduler.domain.planner.shapes import MILLI, Offer, Place, Shape

SCAN_MAX = 64
"""Nodes of one bucket that are compared by what else is open on them."""


@dataclass(slots=True)
class Devices:
    """One pool of a node: its devices by index."""

    kind: str
    count: int
    free: list[int]
    """Devices that nobody uses, ascending."""
    shared: dict[int, int] = field(default_factory=dict)
    """Thousandths free of each device that is shared."""
    held: int = 0
    leaving: int = 0

    @property
    def open(self) -> int:
        """Whole devices that anybody may take."""
        return len(self.free) - max(0, self.held - self.leaving)


@dataclass(frozen=True, slots=True)
class Tenant:
    """A job's part of a node."""

    shape: Shape
    place: Place
    leaving: bool = False


@dataclass(slots=True)
class Node:
    """A node and what is free of it."""

    index: int
    offer: Offer
    pools: list[Devices]
    ready: bool = True
    """Only a ready node takes jobs; another keeps what runs there."""
    cpu_free: int = 0
    cpu_held: int = 0
    cpu_leaving: int = 0
    memory_free: int = 0
    memory_held: int = 0
    memory_leaving: int = 0
    tenants: dict[Hashable, Tenant] = field(default_factory=dict)
    """Jobs that take part of it, by key."""
    holders: dict[Hashable, Tenant] = field(default_factory=dict)
    """Jobs that part of it is held for."""

    @property
    def cpu_open(self) -> int:
        """Thousandths of a core that anybody may take."""
        return self.cpu_free - max(0, self.cpu_held - self.cpu_leaving)

    @property
    def memory_open(self) -> int:
        """Bytes that anybody may take."""
        return self.memory_free - max(0, self.memory_held - self.memory_leaving)

    def spare(self, shape: Shape) -> int:
        """How many replicas its open CPU and memory have room for; memory counts where both
        sides declare it."""
        room = self.cpu_open // shape.cpu_milli if shape.cpu_milli else len(self.pools) * 1024
        if shape.memory_bytes and self.offer.memory_bytes:
            room = min(room, self.memory_open // shape.memory_bytes)
        return room


class Buckets:
    """Sets of nodes by a small number, each set one integer."""

    __slots__ = ("sets",)

    def __init__(self) -> None:
        self.sets: list[int] = []

    def move(self, bit: int, old: int, new: int) -> None:
        """Put a node from one set into another; below 0 is none."""
        if old >= 0:
            self.sets[old] ^= bit
        if new >= 0:
            while len(self.sets) <= new:
                self.sets.append(0)
            self.sets[new] |= bit

    def at(self, number: int) -> int:
        """The nodes with this number."""
        return self.sets[number] if 0 <= number < len(self.sets) else 0


def each(bits: int) -> Iterator[int]:
    """The indices in a set, ascending."""
    while bits:
        low = bits & -bits
        yield low.bit_length() - 1
        bits ^= low


class Capacity:
    """The nodes of the cluster."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.by_name: dict[str, Node] = {}
        self.open: dict[str, Buckets] = {}
        """By kind: ready nodes by the devices that are open on them."""
        self.shared: dict[str, int] = {}
        """By kind: ready nodes with a device that has room for another share."""
        self.cpu: tuple[Buckets, Buckets] = (Buckets(), Buckets())
        """Ready nodes without and with devices, by the power of two of their open CPU."""
        self.domains: list[dict[tuple[str, ...], int]] = []
        """By depth of the topology: the nodes of each domain."""
        self.total_cpu = 0
        self.total_gpu = 0
        """What the ready nodes offer."""
        self._filed: list[tuple[int, ...]] = []
        """By node: CPU bucket, then for each pool its open devices and whether one is shared."""

    # What there is.

    def add(self, offer: Offer) -> Node:
        """Make a node known, or known in another form; what is taken of it stays taken."""
        node = self.by_name.get(offer.name)
        if node is None:
            node = self.by_name[offer.name] = Node(len(self.nodes), offer, [])
            self.nodes.append(node)
            self._filed.append(())
        else:
            self._unfile(node)
            self._count(node, -1)
        node.offer, node.ready = offer, True
        self._recount(node)
        self._count(node, +1)
        for depth in range(len(offer.path)):
            while len(self.domains) <= depth:
                self.domains.append({})
            path = offer.path[: depth + 1]
            self.domains[depth][path] = self.domains[depth].get(path, 0) | 1 << node.index
        self.file(node)
        return node

    def set_ready(self, node: Node, ready: bool) -> None:
        """Open a node for jobs, or close it."""
        if node.ready != ready:
            self._count(node, -1)
            node.ready = ready
            self._count(node, +1)
            self.file(node)

    def _count(self, node: Node, sign: int) -> None:
        if node.ready:
            self.total_cpu += sign * node.offer.cpu_milli
            self.total_gpu += sign * node.offer.gpu

    def _recount(self, node: Node) -> None:
        """What is free of a node, from its offer, tenants and holders."""
        for path in self.domains:
            for domain in path:
                path[domain] &= ~(1 << node.index)
        node.pools, first = [], 0
        for pool in node.offer.pools:
            devices = list(range(first, first + pool.count))
            node.pools.append(Devices(pool.kind, pool.count, devices))
            first += pool.count
        node.cpu_free, node.memory_free = node.offer.cpu_milli, node.offer.memory_bytes
        node.cpu_held = node.cpu_leaving = node.memory_held = node.memory_leaving = 0
        for tenant in node.tenants.values():
            self._seize(node, tenant)
            if tenant.leaving:
                self._shift(node, tenant, leaving=+1)
        for holder in node.holders.values():
            self._shift(node, holder, held=+1)

    # Taking and giving back.

    def take(self, key: Hashable, shape: Shape, places: Sequence[Place]) -> tuple[Place, ...]:
        """Take places for a job; they are returned with the indices of their devices.

        A place that names its devices takes those (a fact of the log), another the first free.
        """
        taken = []
        for wanted in places:
            node = self.by_name[wanted.node]
            place = self._devices(node, shape, wanted) if shape.devices else wanted
            node.tenants[key] = tenant = Tenant(shape, place)
            self._seize(node, tenant)
            self.file(node)
            taken.append(place)
        return tuple(taken)

    def give(self, key: Hashable, places: Sequence[Place]) -> None:
        """Give a job's places back."""
        for place in places:
            node = self.by_name[place.node]
            tenant = node.tenants.pop(key)
            if tenant.leaving:
                self._shift(node, tenant, leaving=-1)
            self._release(node, tenant)
            self.file(node)

    def leave(self, key: Hashable, places: Sequence[Place], leaving: bool = True) -> None:
        """A job was told to go (or was not, after all)."""
        for place in places:
            node = self.by_name[place.node]
            tenant = node.tenants[key]
            node.tenants[key] = Tenant(tenant.shape, tenant.place, leaving)
            self._shift(node, tenant, leaving=+1 if leaving else -1)
            self.file(node)

    def hold(self, key: Hashable, shape: Shape, places: Sequence[Place]) -> None:
        """Hold places for a job that is to start there."""
        for place in places:
            node = self.by_name[place.node]
            node.holders[key] = holder = Tenant(shape, place)
            self._shift(node, holder, held=+1)
            self.file(node)

    def unhold(self, key: Hashable, places: Sequence[Place]) -> None:
        """Hold them no longer."""
        for place in places:
            node = self.by_name[place.node]
            self._shift(node, node.holders.pop(key), held=-1)
            self.file(node)

    def is_free(self, shape: Shape, places: Sequence[Place]) -> bool:
        """Whether nobody uses what is held: a hold that can be taken now."""
        for place in places:
            node = self.by_name[place.node]
            pool = pool_of(node, place.kind)
            if (
                not node.ready
                or node.cpu_free < shape.cpu_milli * place.replicas
                or (pool is not None and len(pool.free) < shape.devices * place.replicas)
                or (
                    node.offer.memory_bytes
                    and node.memory_free < shape.memory_bytes * place.replicas
                )
            ):
                return False
        return True

    def _devices(self, node: Node, shape: Shape, place: Place) -> Place:
        if place.gpus:
            return place
        pool = pool_of(node, place.kind)
        assert pool is not None
        if shape.gpu:
            gpus = tuple(pool.free[: shape.gpu * place.replicas])
        else:
            fitting = [(free, i) for i, free in pool.shared.items() if free >= shape.gpu_milli]
            gpus = (min(fitting)[1] if fitting else pool.free[0],)
        return Place(place.node, place.replicas, gpus, place.kind)

    def _seize(self, node: Node, tenant: Tenant) -> None:
        shape, place = tenant.shape, tenant.place
        node.cpu_free -= shape.cpu_milli * place.replicas
        node.memory_free -= shape.memory_bytes * place.replicas
        pool = pool_of(node, place.kind)
        if pool is None:
            return
        if shape.gpu:
            taken = set(place.gpus)
            pool.free = [device for device in pool.free if device not in taken]
            return
        for device in place.gpus:
            if device in pool.free:
                pool.free.remove(device)
                pool.shared[device] = MILLI
            if device in pool.shared:
                pool.shared[device] -= shape.gpu_milli

    def _release(self, node: Node, tenant: Tenant) -> None:
        shape, place = tenant.shape, tenant.place
        node.cpu_free += shape.cpu_milli * place.replicas
        node.memory_free += shape.memory_bytes * place.replicas
        pool = pool_of(node, place.kind)
        if pool is None:
            return
        for device in place.gpus:
            if shape.gpu:
                insort(pool.free, device)
            elif device in pool.shared:
                pool.shared[device] += shape.gpu_milli
                if pool.shared[device] == MILLI:
                    del pool.shared[device]
                    insort(pool.free, device)

    def _shift(self, node: Node, tenant: Tenant, held: int = 0, leaving: int = 0) -> None:
        """Move what is held or leaves of a node by a tenant's part."""
        shape, replicas = tenant.shape, tenant.place.replicas
        cpu, memory = shape.cpu_milli * replicas, shape.memory_bytes * replicas
        node.cpu_held += held * cpu
        node.cpu_leaving += leaving * cpu
        node.memory_held += held * memory
        node.memory_leaving += leaving * memory
        pool = pool_of(node, tenant.place.kind)
        if pool is not None:  # a share that leaves opens no whole device for sure
            pool.held += held * shape.devices * replicas
            pool.leaving += leaving * shape.gpu * replicas

    # The buckets.

    def file(self, node: Node) -> None:
        """Put a node into the buckets where it belongs now."""
        old = self._filed[node.index]
        new = self._bucket(node)
        if old == new:
            return
        bit = 1 << node.index
        self._refile(node, bit, old, new)
        self._filed[node.index] = new

    def _unfile(self, node: Node) -> None:
        old = self._filed[node.index]
        self._refile(node, 1 << node.index, old, ())
        self._filed[node.index] = ()

    def _bucket(self, node: Node) -> tuple[int, ...]:
        if not node.ready:
            return ()
        found = [max(node.cpu_open, 0).bit_length()]
        for pool in node.pools:
            found.append(max(pool.open, 0))
            found.append(1 if pool.shared else 0)
        return tuple(found)

    def _refile(self, node: Node, bit: int, old: tuple[int, ...], new: tuple[int, ...]) -> None:
        self.cpu[1 if node.pools else 0].move(bit, old[0] if old else -1, new[0] if new else -1)
        for number, pool in enumerate(node.pools):
            at = 2 * number + 1
            buckets = self.open.setdefault(pool.kind, Buckets())
            buckets.move(bit, old[at] if old else -1, new[at] if new else -1)
            was, now = bool(old and old[at + 1]), bool(new and new[at + 1])
            if was != now:
                self.shared[pool.kind] = self.shared.get(pool.kind, 0) ^ bit


def pool_of(node: Node, kind: str) -> Devices | None:
    """The node's devices of a kind; None where it has none, or where no kind is named."""
    if not kind:
        return None
    for pool in node.pools:
        if pool.kind == kind:
            return pool
    return None
