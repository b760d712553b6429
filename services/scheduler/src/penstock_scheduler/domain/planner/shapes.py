"""What a job takes of one node and what a node offers, in exact units.

CPU is counted in whole thousandths of a core and shared GPUs in thousandths of one, so that sums
are exact: a need is rounded up, an offer down.
"""

from dataclasses import dataclass

MILLI = 1000
"""Thousandths in a CPU core, or in a GPU."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What one replica of a job takes of one node."""

    cpu_milli: int
    memory_bytes: int = 0
    """0: not declared, so not counted."""
    gpu: int = 0
    """Whole GPUs."""
    gpu_milli: int = 0
    """Thousandths of one GPU that is shared with others; only where `gpu` is 0."""
    kinds: tuple[str, ...] = ()
    """Accelerators that will do, the best first; empty: any."""

    @property
    def devices(self) -> int:
        """Devices that must be there for it; one for a share."""
        return self.gpu or (1 if self.gpu_milli else 0)

    @property
    def whole(self) -> "Shape":
        """The same with a whole device in place of a share of one."""
        if not self.gpu_milli:
            return self
        return Shape(self.cpu_milli, self.memory_bytes, 1, kinds=self.kinds)


@dataclass(frozen=True, slots=True)
class Pool:
    """Devices of one kind on a node: whole GPUs, or the slices of a fixed MIG layout."""

    kind: str
    count: int


@dataclass(frozen=True, slots=True)
class Offer:
    """A node as it is when idle.

    GPU indices run through the pools in their order. `path` names the domains of the topology
    that hold the node, from the widest to the narrowest (island, block, rack).
    """

    name: str
    cpu_milli: int
    memory_bytes: int = 0
    pools: tuple[Pool, ...] = ()
    path: tuple[str, ...] = ()

    @property
    def gpu(self) -> int:
        """All devices."""
        return sum(pool.count for pool in self.pools)


@dataclass(frozen=True, slots=True)
class Place:
    """One node's part of a job: how many replicas, on which devices.

    A shared GPU is one index; `gpus` is empty while a place is only held, not taken.
    """

    node: str
    replicas: int = 1
    gpus: tuple[int, ...] = ()
    kind: str = ""
    """The kind of its devices; empty where it takes none."""
