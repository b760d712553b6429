"""Where a job fits now: best fit for one replica, the tightest domain for a gang."""

from collections.abc import Iterator, Sequence
from operator import itemgetter

from penstock_scheduler.domain.planner.capacity import (
    SCAN_MAX,
    Capacity,
    Devices,
    Node,
    each,
    pool_of,
)
from penstock_scheduler.domain.planner.shapes import Place, Shape

EVERYWHERE = -1
"""The set of all nodes, as a mask."""


def fit(
    capacity: Capacity,
    shape: Shape,
    replicas: int = 1,
    depth: int | None = None,
    required: bool = False,
) -> tuple[Place, ...] | None:
    """Places for all replicas, or None; a gang never fits in part.

    `depth` is the level of the topology that should hold them all; where `required` is false and
    no such domain has room, wider ones will do.
    """
    if replicas == 1:
        place = fit_one(capacity, shape)
        return None if place is None else (place,)
    for mask in _roomy(capacity, depth, required, shape, replicas):
        places = _spread(capacity, shape, replicas, mask)
        if places is not None:
            return places
    return None


def fit_one(capacity: Capacity, shape: Shape, mask: int = EVERYWHERE) -> Place | None:
    """The place that leaves the least room: devices before CPU, then the older node."""
    if shape.gpu:
        return _whole(capacity, shape, mask)
    if shape.gpu_milli:
        return _share(capacity, shape, mask)
    return _cpu_only(capacity, shape, mask)


def kinds_of(capacity: Capacity, shape: Shape) -> Sequence[str]:
    """The accelerators that will do: as the job lists them, or all by name."""
    return shape.kinds or sorted(capacity.open)


def domains(capacity: Capacity, depth: int | None, required: bool) -> Iterator[Sequence[int]]:
    """The domains that may hold a job, as masks, level by level from the narrowest that is asked
    for; the whole cluster last, unless a domain is required."""
    if depth is not None:
        for level in range(min(depth, len(capacity.domains) - 1), -1, -1):
            yield [mask for _, mask in sorted(capacity.domains[level].items())]
            if required:
                return
    if depth is None or not required:
        yield [EVERYWHERE]


def roomiest(
    capacity: Capacity, kind: str, mask: int = EVERYWHERE, least: int = 0
) -> Iterator[Node]:
    """Nodes by what is open on them, the most first, with at least so many open devices of a kind;
    without a kind by CPU."""
    of_kind = [capacity.open[kind]] if kind in capacity.open else []
    for buckets in of_kind if kind else capacity.cpu:
        for number in range(len(buckets.sets) - 1, least - 1, -1):
            yield from (capacity.nodes[index] for index in each(buckets.sets[number] & mask))


def _roomy(
    capacity: Capacity, depth: int | None, required: bool, shape: Shape, replicas: int
) -> Iterator[int]:
    """Of each level the domains that have room, the one with the least of it first."""
    for level in domains(capacity, depth, required):
        if level == [EVERYWHERE]:
            yield EVERYWHERE
            continue
        rooms = ((replicas_in(capacity, shape, mask), mask) for mask in level)
        yield from (mask for room, mask in sorted(rooms, key=itemgetter(0)) if room >= replicas)


def replicas_in(capacity: Capacity, shape: Shape, mask: int) -> int:
    """How many replicas the open devices of the nodes have room for, of the best kind; CPU and
    memory are not looked at. For shapes without whole GPUs: a bound by CPU."""
    if not shape.gpu:
        nodes = (capacity.nodes[i] for i in each(_ready(capacity) & mask))
        return sum(max(0, node.spare(shape)) for node in nodes)
    best = 0
    for kind in kinds_of(capacity, shape):
        buckets = capacity.open.get(kind)
        if buckets is not None:
            count = 0
            for number in range(shape.gpu, len(buckets.sets)):
                count += number // shape.gpu * (buckets.sets[number] & mask).bit_count()
            best = max(best, count)
    return best


def _whole(capacity: Capacity, shape: Shape, mask: int) -> Place | None:
    for kind in kinds_of(capacity, shape):
        buckets = capacity.open.get(kind)
        if buckets is None:
            continue
        for number in range(shape.gpu, len(buckets.sets)):
            bits = buckets.sets[number] & mask
            if bits and (node := _least_cpu(capacity, shape, bits)) is not None:
                return Place(node.offer.name, kind=kind)
    return None


def _share(capacity: Capacity, shape: Shape, mask: int) -> Place | None:
    """The fullest shared device with room for the share, else a device of the fullest node."""
    for kind in kinds_of(capacity, shape):
        best: tuple[int, int] | None = None
        for index in each(capacity.shared.get(kind, 0) & mask):
            node = capacity.nodes[index]
            free = min(
                (f for f in _devices(node, kind).shared.values() if f >= shape.gpu_milli),
                default=None,
            )
            if free is not None and node.spare(shape) >= 1:
                best = min(best or (free, index), (free, index))
        if best is not None:
            return Place(capacity.nodes[best[1]].offer.name, kind=kind)
    return _whole(capacity, shape.whole, mask)


def _cpu_only(capacity: Capacity, shape: Shape, mask: int) -> Place | None:
    """Nodes without devices first: CPU beside devices is needed with them."""
    for buckets in capacity.cpu:
        for number in range(max(shape.cpu_milli, 1).bit_length(), len(buckets.sets)):
            bits = buckets.sets[number] & mask
            if bits and (node := _least_cpu(capacity, shape, bits)) is not None:
                return Place(node.offer.name)
    return None


def _least_cpu(capacity: Capacity, shape: Shape, bits: int) -> Node | None:
    """Of the first nodes with room the one with the least CPU left."""
    best: tuple[int, int] | None = None
    seen = 0
    while bits and seen < SCAN_MAX:
        low = bits & -bits
        bits ^= low
        node = capacity.nodes[low.bit_length() - 1]
        if node.spare(shape) >= 1:
            seen += 1
            found = (node.cpu_open, node.index)
            if best is None or found < best:
                best = found
    return None if best is None else capacity.nodes[best[1]]


def _spread(capacity: Capacity, shape: Shape, replicas: int, mask: int) -> tuple[Place, ...] | None:
    """Fill the roomiest nodes first, so that a gang lies on few of them."""
    kinds: Sequence[str] = kinds_of(capacity, shape) if shape.gpu else ("",)
    for kind in kinds:
        places, missing = [], replicas
        for node in roomiest(capacity, kind, mask, max(shape.gpu, 1)):
            count = node.spare(shape)
            if shape.gpu:
                count = min(count, _devices(node, kind).open // shape.gpu)
            count = min(count, missing)
            if count > 0:
                places.append(Place(node.offer.name, count, kind=kind))
                missing -= count
            if not missing:
                return tuple(places)
    return None


def _ready(capacity: Capacity) -> int:
    bits = 0
    for buckets in capacity.cpu:
        for one in buckets.sets:
            bits |= one
    return bits


def _devices(node: Node, kind: str) -> Devices:
    pool = pool_of(node, kind)
    assert pool is not None, f"{node.offer.name} lies in a bucket of {kind}"
    return pool
