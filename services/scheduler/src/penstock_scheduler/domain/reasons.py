"""Why a job waits: the present, true reason, for a person.

`explain` looks at the state as it is, with the planner's own rule of what fits, so that it never
names a blocker that the planner does not see.
"""

from bisect import bisect_left
from collections.abc import Iterable

from penstock_scheduler.domain.plan import Room, added, exceeds
from penstock_scheduler.domain.state import Held, Job, Key, Phase, Quota, Shape, State
from penstock_scheduler.domain.words import amount, cores, counted, cpus, gibibytes


def explain(state: State, namespace: str, job: str) -> str:
    """What is with a job at present, and, where it waits, what is missing."""
    found = state.jobs.get((namespace, job))
    if found is None:
        how = state.ended.get((namespace, job))
        return f"it is over: {how}" if how else f"there is no job {job!r} in namespace {namespace}"
    if found.phase is Phase.PLACED:
        gpus = f", GPUs {', '.join(map(str, found.gpus))}" if found.gpus else ""
        ending = f"; its end is asked for: {found.cancel}" if found.cancel else ""
        return f"attempt {found.attempt} has its place on {found.node}{gpus}{ending}"
    if found.cancel is not None:
        return f"it is about to be cancelled: {found.cancel}"
    if found.phase is Phase.FAILED:
        return f"attempt {found.attempt} failed; it is about to be queued again"
    return waiting_reason(state, found)


def waiting_reason(state: State, job: Job) -> str:
    """Why a job that is not placed is not placed, or that it may start at once."""
    ahead = _ahead(state, job)
    behind = f"; behind {counted(ahead, 'job')} in queue {job.queue}" if ahead else ""
    missing = _over_quota(state, job) or _no_room(state, job.shape)
    return (missing or f"{_needs(state, job.shape)}: free now, it starts by the next plan") + behind


def fits_now(state: State, job: Job) -> bool:
    """Whether the job could start at once: quota and room on one node."""
    return _over_quota(state, job) is None and any(
        Room(state, name).fits(job.shape) for name, _ in state.ready_nodes()
    )


def never_fits(shape: Shape, offers: Iterable[Shape]) -> tuple[str, str, str] | None:
    """Why no node of `offers` can hold the shape even when idle: field, reason and fix.

    None where one can, or where there are no nodes at all (one may come).
    """
    nodes = list(offers)
    if not nodes or any(_holds(node, shape) for node in nodes):
        return None
    cpu, gpu = max(n.cpu_milli for n in nodes), max(n.gpu for n in nodes)
    if shape.gpu > gpu:
        reason = f"needs {counted(shape.gpu, 'GPU')} on one node; the largest node has {gpu}"
        return "resources.gpu", reason, f"ask for at most {counted(gpu, 'GPU')}"
    if shape.cpu_milli > cpu:
        reason = f"needs {cpus(shape.cpu_milli)} on one node; the largest node has {cores(cpu)}"
        return "resources.cpu", reason, f"ask for at most {cpus(cpu)}"
    memory = max(n.memory_bytes for n in nodes)
    if shape.memory_bytes > memory and all(n.memory_bytes for n in nodes):
        reason = (
            f"needs {gibibytes(shape.memory_bytes)} of memory on one node; "
            f"the largest node has {gibibytes(memory)}"
        )
        return "resources.memory_bytes", reason, f"ask for at most {memory} bytes"
    best = max(nodes, key=lambda n: (n.gpu >= shape.gpu, n.cpu_milli >= shape.cpu_milli, n.gpu))
    reason = f"no single node has {amount(shape, memory=True)}; one has {amount(best, memory=True)}"
    return "resources", reason, f"ask for at most {amount(best, memory=True)}"


def _holds(node: Shape, shape: Shape) -> bool:
    memory = not (shape.memory_bytes and node.memory_bytes < shape.memory_bytes) or (
        node.memory_bytes == 0
    )
    return shape.cpu_milli <= node.cpu_milli and shape.gpu <= node.gpu and memory


def _ahead(state: State, job: Job) -> int:
    """How many jobs of its queue were asked for earlier and wait."""
    return bisect_left(state.waiting.get(job.queue_key, []), (job.asked, job.id))


def _over_quota(state: State, job: Job) -> str | None:
    queue: Key = job.queue_key
    held, quota = state.held.get(queue, Held()), state.quota_of(queue)
    if not exceeds(quota, added(held, job.shape)):
        return None
    limits = []
    if exceeds(Quota(cpu_milli=quota.cpu_milli), added(held, job.shape)):
        limit = cores(quota.cpu_milli or 0)
        limits.append(f"{cores(held.cpu_milli)} of its quota of {limit} CPUs")
    if exceeds(Quota(gpu=quota.gpu), added(held, job.shape)):
        limits.append(f"{held.gpu} of its quota of {quota.gpu} GPUs")
    return f"needs {amount(job.shape, memory=False)}; queue {job.queue} holds " + " and ".join(
        limits
    )


def _no_room(state: State, shape: Shape) -> str | None:
    """What is missing on the node that is nearest to having room; None where one has it."""
    if not state.nodes:
        return f"needs {amount(shape, memory=True)}; no node is registered"
    never = never_fits(shape, (node.offer for node in state.nodes.values()))
    if never is not None:
        return never[1]
    rooms = [Room(state, name) for name, _ in state.ready_nodes()]
    if any(room.fits(shape) for room in rooms):
        return None
    able = [room for room in rooms if _holds(room.total, shape)]
    if not able:
        closed = ", ".join(
            f"{name} is {node.status}"
            for name, node in sorted(state.nodes.items())
            if _holds(node.offer, shape)
        )
        return f"{_needs(state, shape)}; {closed}"
    nearest = min(able, key=lambda room: (len(_lacking(room, shape)), room.left_after(shape)))
    return (
        f"{_needs(state, shape)}; {' and '.join(_lacking(nearest, shape))} free on {nearest.name}"
    )


def _needs(state: State, shape: Shape) -> str:
    declared = any(node.offer.memory_bytes for node in state.nodes.values())
    return f"needs {amount(shape, memory=declared)}"


def _lacking(room: Room, shape: Shape) -> list[str]:
    lacking = []
    if shape.cpu_milli > room.cpu_milli:
        free = cores(max(room.cpu_milli, 0))
        lacking.append(f"{free} of {cores(room.total.cpu_milli)} CPUs")
    if shape.gpu > len(room.gpus):
        lacking.append(f"{len(room.gpus)} of {counted(room.total.gpu, 'GPU')}")
    if room.lacks_memory(shape):
        free = gibibytes(max(room.memory_bytes, 0))
        lacking.append(f"{free} of {gibibytes(room.total.memory_bytes)} of memory")
    return lacking
