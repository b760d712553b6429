"""From one state to the next: what each event of a job, node, queue or ledger means here.

Events that contradict the state (an end of another attempt than the placed one, a refusal of
another request, a node event outside the system's namespace) change nothing: they are not facts
about what this state holds.
"""

from bisect import bisect_left, insort
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from penstock_chassis.message import Recorded
from penstock_scheduler.domain.state import (
    Held,
    Job,
    Node,
    Phase,
    State,
    Usage,
    need,
    offer,
    quota,
)
from penstock_schemas import (
    SYSTEM_NAMESPACE,
    Event,
    JobCancelled,
    JobCancelRequested,
    JobFailed,
    JobPlaced,
    JobQueued,
    JobRejected,
    JobRequested,
    JobSucceeded,
    NodeDrained,
    NodeLost,
    NodeRegistered,
    PlanCommitted,
    QueueConfigured,
    QueueRejected,
    QueueRequested,
)

REJECTED = "rejected"


def evolve(state: State, recorded: Recorded) -> State:
    """The state after one event; `state` itself is changed."""
    change = _CHANGES.get(type(recorded.event))
    if change is not None:
        change(state, recorded, recorded.event)
    return state


def _job_requested(state: State, recorded: Recorded, event: JobRequested) -> None:
    key = recorded.namespace, event.job
    if key in state.jobs or state.ended.get(key, REJECTED) != REJECTED:
        return  # an id is used once; a refused one may be asked for again
    state.ended.pop(key, None)
    state.jobs[key] = Job(
        namespace=recorded.namespace,
        id=event.job,
        queue=event.queue,
        resources=event.resources,
        shape=need(event.resources),
        asked=recorded.sequence,
        request=recorded.id,
        cause=recorded.cause,
    )


def _job_queued(state: State, recorded: Recorded, event: JobQueued) -> None:
    job = state.jobs.get((recorded.namespace, event.job))
    if job is None or job.phase not in (Phase.ASKED, Phase.FAILED):
        return
    insort(state.waiting.setdefault(job.queue_key, []), (job.asked, job.id))
    state.jobs[job.key] = replace(
        job, phase=Phase.WAITING, attempt=event.attempt, cause=recorded.cause
    )


def _job_placed(state: State, recorded: Recorded, event: JobPlaced) -> None:
    job = state.jobs.get((recorded.namespace, event.job))
    if job is None or job.phase is not Phase.WAITING or job.attempt != event.attempt:
        return
    _leave_queue(state, job)
    job = replace(job, phase=Phase.PLACED, node=event.node, gpus=event.gpus, cause=recorded.cause)
    state.jobs[job.key] = job
    _hold(state, job, +1)


def _job_failed(state: State, recorded: Recorded, event: JobFailed) -> None:
    job = _placed(state, recorded, event.attempt)
    if job is None:
        return
    if event.final:
        _end(state, job, "failed")
        return
    _hold(state, job, -1)
    state.jobs[job.key] = replace(job, phase=Phase.FAILED, node="", gpus=(), cause=recorded.cause)


def _job_succeeded(state: State, recorded: Recorded, event: JobSucceeded) -> None:
    job = _placed(state, recorded, event.attempt)
    if job is not None:
        _end(state, job, "succeeded")


def _job_cancelled(state: State, recorded: Recorded, event: JobCancelled) -> None:
    job = state.jobs.get((recorded.namespace, event.job))
    if job is not None:
        _end(state, job, "cancelled")


def _job_cancel_requested(state: State, recorded: Recorded, event: JobCancelRequested) -> None:
    job = state.jobs.get((recorded.namespace, event.job))
    if job is not None and job.cancel is None:
        state.jobs[job.key] = replace(job, cancel=event.reason)


def _job_rejected(state: State, recorded: Recorded, event: JobRejected) -> None:
    key = recorded.namespace, event.job
    job = state.jobs.get(key)
    state.answer(key, event.request)
    if job is None:
        state.ended.setdefault(key, REJECTED)
    elif job.phase is Phase.ASKED and job.request == event.request:
        _end(state, job, REJECTED)


def _node_registered(state: State, recorded: Recorded, event: NodeRegistered) -> None:
    if recorded.namespace == SYSTEM_NAMESPACE:
        old = state.nodes.get(event.node)
        changes = old.changes + 1 if old else 1
        state.nodes[event.node] = Node(event, offer(event.resources), "ready", changes)


def _node_closed(status: str) -> Callable[[State, Recorded, NodeDrained | NodeLost], None]:
    def change(state: State, recorded: Recorded, event: NodeDrained | NodeLost) -> None:
        node = state.nodes.get(event.node)
        if recorded.namespace == SYSTEM_NAMESPACE and node is not None:
            state.nodes[event.node] = replace(node, status=status, changes=node.changes + 1)

    return change


def _queue_requested(state: State, recorded: Recorded, event: QueueRequested) -> None:
    state.wishes.add((recorded.namespace, recorded.id))


def _queue_configured(state: State, recorded: Recorded, event: QueueConfigured) -> None:
    limits = quota(event.cpu_quota, event.gpu_quota)
    state.queues[recorded.namespace, event.queue] = limits
    state.wishes.discard((recorded.namespace, recorded.causation_id or ""))


def _queue_rejected(state: State, recorded: Recorded, event: QueueRejected) -> None:
    state.wishes.discard((recorded.namespace, event.request))


def _plan_committed(state: State, recorded: Recorded, event: PlanCommitted) -> None:
    if recorded.namespace == SYSTEM_NAMESPACE:
        state.pages[event.plan] = event.number


def _placed(state: State, recorded: Recorded, attempt: int) -> Job | None:
    """The job of the event, where this very attempt has a place."""
    job = state.jobs.get((recorded.namespace, recorded.event.id))
    if job is None or job.phase is not Phase.PLACED or job.attempt != attempt:
        return None
    return job


def _end(state: State, job: Job, how: str) -> None:
    if job.phase is Phase.WAITING:
        _leave_queue(state, job)
    elif job.phase is Phase.PLACED:
        _hold(state, job, -1)
    del state.jobs[job.key]
    state.ended[job.key] = how
    state.answer(job.key, job.request)


def _leave_queue(state: State, job: Job) -> None:
    line = state.waiting[job.queue_key]
    del line[bisect_left(line, (job.asked, job.id))]
    if not line:
        del state.waiting[job.queue_key]


def _hold(state: State, job: Job, sign: int) -> None:
    """Add what a placed job holds to its node, queue and namespace, or take it away."""
    shape, used = job.shape, state.usage.get(job.node, Usage())
    gpus = used.gpus | set(job.gpus) if sign > 0 else used.gpus - set(job.gpus)
    state.usage[job.node] = Usage(
        used.cpu_milli + sign * shape.cpu_milli,
        used.memory_bytes + sign * shape.memory_bytes,
        gpus,
    )
    queue = state.held.get(job.queue_key, Held())
    state.held[job.queue_key] = _moved(queue, job, sign)
    share = state.shares.get(job.namespace, Held())
    state.shares[job.namespace] = _moved(share, job, sign)


def _moved(held: Held, job: Job, sign: int) -> Held:
    return Held(held.cpu_milli + sign * job.shape.cpu_milli, held.gpu + sign * job.shape.gpu)


_CHANGES: dict[type[Event], Callable[[State, Recorded, Any], None]] = {
    JobRequested: _job_requested,
    JobQueued: _job_queued,
    JobPlaced: _job_placed,
    JobFailed: _job_failed,
    JobSucceeded: _job_succeeded,
    JobCancelled: _job_cancelled,
    JobCancelRequested: _job_cancel_requested,
    JobRejected: _job_rejected,
    NodeRegistered: _node_registered,
    NodeDrained: _node_closed("drained"),
    NodeLost: _node_closed("lost"),
    QueueRequested: _queue_requested,
    QueueConfigured: _queue_configured,
    QueueRejected: _queue_rejected,
    PlanCommitted: _plan_committed,
}
