"""Who must leave so that a job fits: places and victims are looked for together.

Every node is priced by the cheapest victims that would make room on it; a gang takes the cheapest
nodes of the cheapest domain, and nobody leaves unless all of it then fits.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import chain

from penstock_scheduler.domain.planner.capacity import Capacity, Node, each, pool_of
from penstock_scheduler.domain.planner.jobs import Job
from penstock_scheduler.domain.planner.places import EVERYWHERE, domains, kinds_of
from penstock_scheduler.domain.planner.quotas import Key, Tier
from penstock_scheduler.domain.planner.shapes import Place, Shape
from penstock_scheduler.domain.planner.world import World


@dataclass(frozen=True, slots=True)
class Eviction:
    """Places for a job, and who must leave them. `cost` is in GPU-seconds that are lost."""

    places: tuple[Place, ...]
    victims: tuple[Job, ...]
    cost: float


Victims = dict[Key, Job]


def evict_for(world: World, job: Job, shape: Shape, tier: Tier, now: float) -> Eviction | None:
    """The cheapest eviction that lets the job start; None where there is none."""
    ask, by_node = job.ask, dict[int, list[Job]]()
    for victim in eligible(world, job, tier, now):
        for place in victim.places:
            node = world.capacity.by_name[place.node]
            by_node.setdefault(node.index, []).append(victim)
    if not by_node:
        return None
    depth = ask.depth if ask.replicas > 1 else None
    for kind in kinds_of(world.capacity, shape) if shape.gpu else ("",):
        best: Eviction | None = None
        for mask in chain.from_iterable(domains(world.capacity, depth, ask.required)):
            found = _cheapest(world.capacity, shape, kind, ask.replicas, by_node, mask, now)
            if found is not None and (best is None or found.cost < best.cost):
                best = found
        if best is not None:
            return best
    return None


def loss(job: Job, now: float) -> float:
    """GPU-seconds that are lost where the job must begin again from its last checkpoint."""
    return (job.restart_seconds + job.unsaved(now)) * job.ask.gpus


def eligible(world: World, job: Job, tier: Tier, now: float) -> Iterator[Job]:
    """Running jobs that may be told to leave for this one, of the highest standing first."""
    policy = world.policy
    bar = world.rank_of(job) + policy.hysteresis
    for level in range(len(world.running) - 1, -1, -1):
        able = []
        for since, asked, key in world.running[level]:
            if now - since < policy.min_run_seconds:
                break  # sorted by when they began
            victim = world.jobs[key]
            standing = policy.standing(victim.served(now))
            if _yields(world, victim, job, tier, standing > bar):
                able.append((-standing, asked, victim))
        able.sort(key=lambda one: one[:2])
        yield from (victim for _, _, victim in able)


def _yields(world: World, victim: Job, job: Job, tier: Tier, above: bool) -> bool:
    """Whether a victim gives way: within a queue by priority, then by service; between queues only
    what a queue has above its quota, to those who are owed it, or else by service."""
    if victim.queue == job.queue:
        if victim.ask.priority != job.ask.priority:
            return victim.ask.priority < job.ask.priority
        return above
    return (above or tier is Tier.OWED) and world.quotas.borrows(victim.queue, job.queue)


def _price(
    node: Node, shape: Shape, replicas: int, kind: str, victims: list[Job], now: float
) -> tuple[float, Victims] | None:
    """The cheapest victims that make room for some replicas on one node: all of them go in
    thought, then the dearest are let off again while it still fits."""
    pool = pool_of(node, kind) if kind else None
    if not node.ready or (kind and pool is None):
        return None
    need = (shape.gpu * replicas, shape.cpu_milli * replicas, shape.memory_bytes * replicas)
    if not node.offer.memory_bytes:
        need = (need[0], need[1], 0)
    have = (pool.open if pool is not None else 0, node.cpu_open, node.memory_open)
    parts = []
    for victim in victims:
        tenant = node.tenants[victim.key]
        count, takes = tenant.place.replicas, tenant.shape
        gpu = takes.gpu * count if tenant.place.kind == kind else 0
        part = (gpu, takes.cpu_milli * count, takes.memory_bytes * count)
        have = _plus(have, part, +1)
        parts.append((loss(victim, now), victim.asked, part, victim))
    if not _covers(have, need):
        return None
    cost, kept = 0.0, Victims()
    for lost, _, part, victim in sorted(parts, key=lambda one: one[:2], reverse=True):
        less = _plus(have, part, -1)
        if _covers(less, need):
            have = less
        else:
            cost += lost
            kept[victim.key] = victim
    return cost, kept


_Three = tuple[int, int, int]
"""Devices, thousandths of a core, bytes."""


def _plus(have: _Three, part: _Three, sign: int) -> _Three:
    return have[0] + sign * part[0], have[1] + sign * part[1], have[2] + sign * part[2]


def _covers(have: _Three, need: _Three) -> bool:
    return have[0] >= need[0] and have[1] >= need[1] and (have[2] >= need[2] or need[2] == 0)


def _cheapest(
    capacity: Capacity,
    shape: Shape,
    kind: str,
    replicas: int,
    by_node: dict[int, list[Job]],
    mask: int,
    now: float,
) -> Eviction | None:
    """The cheapest replicas of a domain, node by node, with what is open there anyway.

    Each node offers its next replica at what that adds to its price; the cheapest offer is taken
    until the job fits.
    """
    offers: list[tuple[float, int, int, Victims]] = []
    nodes = {*by_node, *_open_nodes(capacity, shape, kind)} if replicas > 1 else by_node.keys()
    for index in nodes:
        if mask != EVERYWHERE and not mask >> index & 1:
            continue
        priced = _price(capacity.nodes[index], shape, 1, kind, by_node.get(index, []), now)
        if priced is not None:
            offers.append((priced[0], index, 1, priced[1]))
    heapify(offers)
    taken: dict[int, tuple[int, float, Victims]] = {}
    missing = replicas
    while offers and missing:
        _, index, count, victims = heappop(offers)
        before = taken[index][1] if index in taken else 0.0
        missing -= 1
        priced = None
        if missing:
            node = capacity.nodes[index]
            priced = _price(node, shape, count + 1, kind, by_node.get(index, []), now)
        cost = sum(loss(victim, now) for victim in victims.values())
        taken[index] = count, cost, victims
        if priced is not None:
            heappush(offers, (max(priced[0] - max(cost, before), 0.0), index, count + 1, priced[1]))
    if missing:
        return None
    victims = {key: one for _, _, some in taken.values() for key, one in some.items()}
    places = tuple(
        Place(capacity.nodes[index].offer.name, count, kind=kind)
        for index, (count, _, _) in sorted(taken.items())
    )
    cost = sum(loss(victim, now) for victim in victims.values())
    return Eviction(places, tuple(victims.values()), cost)


def _open_nodes(capacity: Capacity, shape: Shape, kind: str) -> Iterator[int]:
    """Nodes with room for a replica as they are, by devices; CPU and memory are looked at later."""
    if kind:
        buckets = capacity.open.get(kind)
        sets = buckets.sets[shape.gpu :] if buckets is not None else []
    else:
        least = max(shape.cpu_milli, 1).bit_length()
        sets = [one for buckets in capacity.cpu for one in buckets.sets[least:]]
    for bits in sets:
        yield from each(bits)
