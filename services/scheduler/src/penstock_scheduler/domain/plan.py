"""The planner: which waiting jobs start now, and where. Pure and deterministic.

Turns go to the namespace that holds the least share of the cluster, then to its queue that holds
the least, then to the older request; within a queue the oldest request that fits goes first, and
what does not fit is passed over (backfill), so nothing that could run waits behind what cannot.
A share is the larger of the CPU and the GPU fraction held (dominant resource fairness, Ghodsi et
al., NSDI 2011). A job goes to the node that it leaves the least room on, GPU room before CPU.

Within one pass room only shrinks, so what failed once is not tried again: a pass costs one look
at each waiting job, plus one look at each node for every placement and for every new shape.

Not yet here: priorities, gangs, topology, preemption, reservations for what is passed over often.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from penstock_chassis.message import Cause
from penstock_scheduler.domain.state import Held, Job, Key, Quota, Shape, State
from penstock_scheduler.domain.words import cores, counted
from penstock_schemas import Resources

PLACEMENTS_MAX = 200
"""Placements in one plan: it is one atomic append, and the log bounds those."""


@dataclass(frozen=True, slots=True)
class Placement:
    """An attempt of a job and its place."""

    namespace: str
    job: str
    attempt: int
    node: str
    resources: Resources
    gpus: tuple[int, ...]
    reason: str
    cause: Cause


@dataclass(frozen=True, slots=True)
class Plan:
    """What starts now, in order, and how many jobs stay waiting."""

    placements: tuple[Placement, ...]
    waiting: int


class Room:
    """What is still free of one node while a plan is made."""

    def __init__(self, state: State, name: str) -> None:
        total, used = state.nodes[name].offer, state.usage.get(name)
        self.name = name
        self.total = total
        self.cpu_milli = total.cpu_milli - (used.cpu_milli if used else 0)
        self.memory_bytes = total.memory_bytes - (used.memory_bytes if used else 0)
        taken = used.gpus if used else frozenset()
        self.gpus = [index for index in range(total.gpu) if index not in taken]

    def fits(self, shape: Shape) -> bool:
        """Whether the shape fits in what is free; memory counts where both sides declare it."""
        return (
            shape.cpu_milli <= self.cpu_milli
            and shape.gpu <= len(self.gpus)
            and not self.lacks_memory(shape)
        )

    def lacks_memory(self, shape: Shape) -> bool:
        """Whether the shape's declared memory is above what is free of the node's."""
        declared = shape.memory_bytes > 0 and self.total.memory_bytes > 0
        return declared and shape.memory_bytes > self.memory_bytes

    def take(self, shape: Shape) -> tuple[int, ...]:
        """Take the shape's share; the GPU indices that are its own now."""
        self.cpu_milli -= shape.cpu_milli
        self.memory_bytes -= shape.memory_bytes
        gpus = tuple(self.gpus[: shape.gpu])
        del self.gpus[: shape.gpu]
        return gpus

    def left_after(self, shape: Shape) -> tuple[int, int, str]:
        """What would be left, to compare nodes by: GPUs, CPU, then the name."""
        return len(self.gpus) - shape.gpu, self.cpu_milli - shape.cpu_milli, self.name


class Line:
    """One queue while a plan is made: its waiting jobs, oldest first, and what it holds."""

    def __init__(self, state: State, key: Key) -> None:
        self.namespace, self.queue = key
        self.jobs: Iterator[Job] = (state.jobs[key[0], id] for _, id in state.waiting[key])
        self.oldest = state.waiting[key][0]
        self.held = state.held.get(key, Held())
        self.quota = state.quota_of(key)
        self.skipped = 0


class _Pass:
    """The tallies of one pass of the planner."""

    def __init__(self, state: State) -> None:
        self.rooms = [Room(state, name) for name, _ in state.ready_nodes()]
        self.cpu_milli = sum(room.total.cpu_milli for room in self.rooms)
        self.gpu = sum(room.total.gpu for room in self.rooms)
        self.shares = dict(state.shares)
        self.lines = [Line(state, key) for key in sorted(state.waiting)]
        self.unplaceable: set[Shape] = set()

    def turn(self, line: Line) -> tuple[float, float, tuple[int, str]]:
        """Whose turn it is: the smallest goes first."""
        namespace = self.shares.get(line.namespace, Held())
        return self._share(namespace), self._share(line.held), line.oldest

    def _share(self, held: Held) -> float:
        cpu = held.cpu_milli / self.cpu_milli if self.cpu_milli else 0.0
        return max(cpu, held.gpu / self.gpu if self.gpu else 0.0)

    def place_next(self, line: Line) -> Placement | None:
        """Place the oldest job of the line that fits; None where none of them does."""
        for job in line.jobs:
            room = self._room_for(job.shape, line) if job.cancel is None else None
            if room is None:
                line.skipped += 1
                continue
            reason = _why_here(line, job.shape, room)
            gpus = room.take(job.shape)
            line.held = added(line.held, job.shape)
            share = self.shares.get(line.namespace, Held())
            self.shares[line.namespace] = added(share, job.shape)
            return Placement(
                job.namespace,
                job.id,
                job.attempt,
                room.name,
                job.resources,
                gpus,
                reason,
                job.cause,
            )
        return None

    def _room_for(self, shape: Shape, line: Line) -> Room | None:
        if shape in self.unplaceable or exceeds(line.quota, added(line.held, shape)):
            return None
        fitting = [room for room in self.rooms if room.fits(shape)]
        if not fitting:
            self.unplaceable.add(shape)
            return None
        return min(fitting, key=lambda room: room.left_after(shape))


def plan(state: State) -> Plan:
    """The plan for a state: the same for the same state, and empty where nothing can start."""
    waiting = sum(len(line) for line in state.waiting.values())
    placements: list[Placement] = []
    tallies = _Pass(state)
    lines = tallies.lines
    while lines and len(placements) < PLACEMENTS_MAX:
        line = min(lines, key=tallies.turn)
        placement = tallies.place_next(line)
        if placement is None:
            lines.remove(line)
        else:
            placements.append(placement)
    return Plan(tuple(placements), waiting - len(placements))


def added(held: Held, shape: Shape) -> Held:
    """What is held once a job of the shape is placed, too."""
    return Held(held.cpu_milli + shape.cpu_milli, held.gpu + shape.gpu)


def exceeds(quota: Quota, held: Held) -> bool:
    """Whether holding this much is above the quota."""
    return (quota.cpu_milli is not None and held.cpu_milli > quota.cpu_milli) or (
        quota.gpu is not None and held.gpu > quota.gpu
    )


def _why_here(line: Line, shape: Shape, room: Room) -> str:
    place = f"first in queue {line.queue}"
    if line.skipped:
        place = f"passes {counted(line.skipped, 'job')} of queue {line.queue} not ready to start"
    free = f"{cores(room.cpu_milli)} of {cores(room.total.cpu_milli)} CPUs"
    if shape.gpu:
        free += f" and {len(room.gpus)} of {room.total.gpu} GPUs"
    return f"{place}; {free} were free on {room.name}"
