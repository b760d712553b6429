"""Quantities in words, for the reasons that people read."""

from penstock_scheduler.domain.state import MILLI, Shape

GIB = 2**30


def cores(cpu_milli: int) -> str:
    """Cores without needless decimals: `2`, `0.5`."""
    return f"{cpu_milli / MILLI:g}" if cpu_milli % MILLI else str(cpu_milli // MILLI)


def counted(count: int, noun: str) -> str:
    """`1 job`, `2 jobs`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def cpus(cpu_milli: int) -> str:
    """`1 CPU`, `2.5 CPUs`."""
    return f"{cores(cpu_milli)} CPU{'' if cpu_milli == MILLI else 's'}"


def gibibytes(size_bytes: int) -> str:
    """`1.5 GiB`; small sizes in bytes."""
    return f"{size_bytes / GIB:.3g} GiB" if size_bytes >= GIB // 100 else f"{size_bytes} bytes"


def amount(shape: Shape, *, memory: bool) -> str:
    """`2 CPUs`, `2 CPUs, 1 GPU and 4 GiB of memory`."""
    parts = [cpus(shape.cpu_milli)]
    if shape.gpu:
        parts.append(counted(shape.gpu, "GPU"))
    if memory and shape.memory_bytes:
        parts.append(f"{gibibytes(shape.memory_bytes)} of memory")
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
