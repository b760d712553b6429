"""Who must leave or move so that a job fits: victims, moves and places are looked for together.

A search that first chose places and then victims, or the other way round, evicts jobs and then
finds that the gang does not fit (kueue#5243, volcano#3291). Here enough jobs of the highest
standing are taken away in thought; then the job is packed into what is free, small jobs being moved
together where that is free in parts; and nobody leaves unless all of it fits.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from penstock_scheduler.domain.planner.capacity import Capacity, Node, pool_of
from penstock_scheduler.domain.planner.jobs import Job
from penstock_scheduler.domain.planner.places import (
    EVERYWHERE,
    domains,
    fit_one,
    kinds_of,
    roomiest,
)
from penstock_scheduler.domain.planner.quotas import Tier
from penstock_scheduler.domain.planner.shapes import Place, Shape
from penstock_scheduler.domain.planner.trial import Trial
from penstock_scheduler.domain.planner.victims import eligible, evict_for
from penstock_scheduler.domain.planner.world import World

NODES_MAX = 256
"""Nodes that are tried to be emptied for one job."""


@dataclass(frozen=True, slots=True)
class Move:
    """A job that goes on elsewhere."""

    job: Job
    to: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Room:
    """Places for a job, and what makes room there."""

    places: tuple[Place, ...]
    victims: tuple[Job, ...] = ()
    moves: tuple[Move, ...] = ()


def room_for(trial: Trial, job: Job) -> Room | None:
    """Room that can be made for a job; None where there is none. Nothing is left tried."""
    world, ask = trial.world, job.ask
    tier = world.turns.tier_of(job)
    if tier is None:
        return None
    shape = ask.shape.whole  # a search for room must not fail on parts of devices
    if shape.gpu:
        for kind in kinds_of(world.capacity, shape):
            mark = trial.mark()
            found = _packed(trial, job, shape, kind, tier)
            trial.back_to(mark)
            if found is not None:
                return found
    if not world.policy.preempts:
        return None
    eviction = evict_for(world, job, shape, tier, trial.now)
    return None if eviction is None else Room(eviction.places, eviction.victims)


def _packed(trial: Trial, job: Job, shape: Shape, kind: str, tier: Tier) -> Room | None:
    world = trial.world
    missing = shape.gpu * job.ask.replicas - _open(world.capacity, kind)
    victims = _victims(world, job, kind, tier, missing, trial.now) if missing > 0 else []
    if victims is None:
        return None
    for victim in victims:
        trial.vacate(victim)
    depth = job.ask.depth if job.ask.replicas > 1 else None
    for mask in chain.from_iterable(domains(world.capacity, depth, job.ask.required)):
        mark = trial.mark()
        packed = _pack(trial, shape, job.ask.replicas, kind, mask)
        if packed is not None:
            return Room(packed[0], tuple(victims), tuple(packed[1]))
        trial.back_to(mark)
    return None


def _open(capacity: Capacity, kind: str) -> int:
    """All open devices of a kind."""
    buckets = capacity.open.get(kind)
    if buckets is None:
        return 0
    return sum(number * bits.bit_count() for number, bits in enumerate(buckets.sets))


def _victims(
    world: World, job: Job, kind: str, tier: Tier, missing: int, now: float
) -> list[Job] | None:
    """Those of the highest standing who free what is missing; the lowest are let off again where
    it is enough without them. None where there are not enough."""
    if not world.policy.preempts:
        return None
    chosen: list[tuple[Job, int]] = []
    for victim in eligible(world, job, tier, now):
        frees = sum(
            victim.ask.shape.gpu * place.replicas
            for place in victim.places
            if place.kind == kind and world.capacity.by_name[place.node].ready
        )
        if frees:
            chosen.append((victim, frees))
            missing -= frees
            if missing <= 0:
                break
    if missing > 0:
        return None
    kept = []
    for victim, frees in reversed(chosen):
        if missing + frees <= 0:
            missing += frees
        else:
            kept.append(victim)
    return kept


def _pack(
    trial: Trial, shape: Shape, replicas: int, kind: str, mask: int
) -> tuple[tuple[Place, ...], list[Move]] | None:
    """The nodes that need the least moved, and the moves, tried on the world."""
    world = trial.world
    if replicas == 1 and (place := fit_one(world.capacity, shape, mask)) is not None:
        return (place,), []
    chosen: list[tuple[Node, list[Job]]] = []
    for tried, node in enumerate(roomiest(world.capacity, kind, mask)):
        if len(chosen) == replicas or tried == NODES_MAX:
            break
        movers = _movers(world, node, shape, kind, trial.now)
        if movers is not None:
            chosen.append((node, movers))
    if len(chosen) < replicas:
        return None
    closed = 0
    for node, movers in chosen:
        closed |= 1 << node.index
        for mover in movers:
            trial.vacate(mover)
    moves = []
    movers = [mover for _, some in chosen for mover in some]
    for mover in sorted(movers, key=lambda one: (-one.ask.shape.gpu, one.asked)):
        place = fit_one(world.capacity, mover.ask.shape, EVERYWHERE & ~closed)
        if place is None:
            return None
        trial.hold(mover, (place,))
        moves.append(Move(mover, (place,)))
    return tuple(Place(node.offer.name, kind=kind) for node, _ in chosen), moves


def _movers(world: World, node: Node, shape: Shape, kind: str, now: float) -> list[Job] | None:
    """Jobs to move off a node so that the shape fits there; None where that cannot be."""
    pool = pool_of(node, kind)
    assert pool is not None
    missing = shape.gpu - pool.open
    if pool.count < shape.gpu or (missing <= 0 and node.spare(shape) < 1):
        return None
    movers: list[Job] = []
    if missing > 0:
        if not world.policy.moves:
            return None
        movable = list(_movable(world, node, kind, now))
        while missing > 0:
            if not movable:
                return None
            enough = [one for one in movable if one.ask.shape.gpu >= missing]
            mover = (
                min(enough, key=lambda one: (one.ask.shape.gpu, one.asked))
                if enough
                else max(movable, key=lambda one: (one.ask.shape.gpu, -one.asked))
            )
            movable.remove(mover)
            movers.append(mover)
            missing -= mover.ask.shape.gpu
        cpu = node.cpu_open + sum(mover.ask.shape.cpu_milli for mover in movers)
        if cpu < shape.cpu_milli:
            return None
    return movers


def _movable(world: World, node: Node, kind: str, now: float) -> Iterator[Job]:
    for key, tenant in node.tenants.items():
        one = world.jobs.get(key)  # type: ignore[call-overload]
        if (
            one is not None
            and one.ask.preemptible
            and one.ask.replicas == 1
            and not tenant.leaving
            and tenant.place.kind == kind
            and tenant.shape.gpu
            and now - one.since >= world.policy.min_run_seconds
        ):
            yield one
