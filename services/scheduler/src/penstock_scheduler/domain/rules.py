"""What the scheduler decides: each rule looks at what was done so far and says what is missing.

A rule decides nothing where its message has had its effect, so a message may come again at any
time. The ledger's page (`plan.committed`) is in every decision that another planner's decision
could contradict: placements, changes of the inventory and of quotas. Its guard makes them one
sequence, so no placement is ever decided from an older inventory or quota than the log's. The
page is the last of its batch: a fold is given a batch one event at a time, and one that stopped
between the page and the placements behind it would pass the guard without knowing them.
"""

from collections.abc import Iterable, Sequence

from penstock_chassis.message import Cause, Draft, Recorded
from penstock_scheduler.domain.plan import Placement, Plan, plan
from penstock_scheduler.domain.reasons import never_fits, waiting_reason
from penstock_scheduler.domain.state import DEFAULT_QUEUE, Job, Phase, Shape, State, offer, quota
from penstock_scheduler.domain.words import cores, counted, cpus
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
    NodeRegistered,
    PlanCommitted,
    QueueConfigured,
    QueueRejected,
    QueueRequested,
    derived_id,
)

Inventory = Sequence[NodeRegistered]
"""The nodes that the settings declare."""


def decide_request(state: State, message: Recorded, declared: Inventory) -> list[Event]:
    """Queue a job that was asked for, or refuse it.

    A second request with the id of a job is refused and touches nothing of the first.
    """
    event = message.event
    assert isinstance(event, JobRequested)
    key = message.namespace, event.job
    job = state.jobs.get(key)
    if job is None or job.request != message.id:
        return [] if message.id in state.answered.get(key, ()) else [_taken(state, message, job)]
    if job.phase is not Phase.ASKED or job.cancel is not None:
        return []
    refusal = _refusal(state, job, declared)
    if refusal is not None:
        return [refusal]
    return [JobQueued(job=job.id, queue=job.queue, attempt=1, reason=waiting_reason(state, job))]


def _taken(state: State, message: Recorded, job: Job | None) -> JobRejected:
    """The refusal of a request whose id is another's."""
    id = message.event.id
    how = state.ended.get((message.namespace, id), "ended")
    by = f"by event {job.request}" if job is not None else f"and is over ({how})"
    return JobRejected(
        job=id,
        request=message.id,
        reason=f"a job {id!r} was requested already, {by}",
        field="job",
        fix="use a new id",
    )


def _refusal(state: State, job: Job, declared: Inventory) -> JobRejected | None:
    if job.queue != DEFAULT_QUEUE and job.queue_key not in state.queues:
        reason = f"there is no queue {job.queue!r} in namespace {job.namespace}"
        fix = f"use the queue {DEFAULT_QUEUE!r}, or create this one: queue.requested"
        return JobRejected(job=job.id, request=job.request, reason=reason, field="queue", fix=fix)
    never = never_fits(job.shape, _offers(state, declared))
    if never is None:
        return None
    field, reason, fix = never
    return JobRejected(job=job.id, request=job.request, reason=reason, field=field, fix=fix)


def decide_requeue(state: State, message: Recorded) -> list[Event]:
    """Queue the next attempt of a job whose attempt failed, or end it where that is asked for."""
    event = message.event
    assert isinstance(event, JobFailed)
    job = state.jobs.get((message.namespace, event.job))
    if job is None or job.phase is not Phase.FAILED or job.attempt != event.attempt:
        return []
    if job.cancel is not None:
        return [_cancelled(job, job.cancel)]
    attempt = job.attempt + 1
    reason = f"attempt {job.attempt} failed; {waiting_reason(state, job)}"
    return [JobQueued(job=job.id, queue=job.queue, attempt=attempt, reason=reason)]


def decide_cancel(state: State, message: Recorded) -> list[Event]:
    """End a job that has no place; a placed one is ended by the trainer, which owns it."""
    event = message.event
    assert isinstance(event, JobCancelRequested)
    key = message.namespace, event.job
    job = state.jobs.get(key)
    if job is not None:
        if job.cancel is None or job.phase is Phase.PLACED:
            return []  # the wish is older than the job's request, or it is the trainer's to do
        return [_cancelled(job, job.cancel)]
    if key in state.ended:
        return []
    reason = f"there is no job {event.job!r} in namespace {message.namespace}"
    fix = "cancel a job that was requested"
    return [JobRejected(job=event.job, request=message.id, reason=reason, field="job", fix=fix)]


def _cancelled(job: Job, reason: str) -> JobCancelled:
    """The end of a job without a place; `attempt` is the last that had one, if any."""
    placed = job.attempt if job.phase is Phase.FAILED else job.attempt - 1
    return JobCancelled(job=job.id, attempt=placed if placed > 0 else None, reason=reason)


def decide_queue(
    state: State, message: Recorded, declared: Inventory, ledger: str
) -> list[Event | Draft]:
    """Configure a queue, or refuse limits that the cluster could never reach."""
    event = message.event
    assert isinstance(event, QueueRequested)
    if (message.namespace, message.id) not in state.wishes:
        return []
    offers, limits = list(_offers(state, declared)), quota(event.cpu_quota, event.gpu_quota)
    gpu, cpu_milli = sum(o.gpu for o in offers), sum(o.cpu_milli for o in offers)
    field = ""
    if offers and (limits.gpu or 0) > gpu:
        field, fix = "gpu_quota", f"ask for at most {gpu}, or for no limit"
        reason = f"the quota of {counted(limits.gpu or 0, 'GPU')} is above the cluster's {gpu}"
    elif offers and (limits.cpu_milli or 0) > cpu_milli:
        field, fix = "cpu_quota", f"ask for at most {cores(cpu_milli)}, or for no limit"
        wanted = cpus(limits.cpu_milli or 0)
        reason = f"the quota of {wanted} is above the cluster's {cores(cpu_milli)}"
    if field:
        refused = {"request": message.id, "reason": reason, "field": field, "fix": fix}
        return [QueueRejected(queue=event.queue, **refused)]
    configured = QueueConfigured(
        queue=event.queue, cpu_quota=event.cpu_quota, gpu_quota=event.gpu_quota
    )
    return [configured, _page(state, ledger)]


def decide_inventory(state: State, declared: Inventory, ledger: str, cause: str) -> list[Draft]:
    """Register the declared nodes that the log does not have in this form, all at once.

    A drained node stays drained while its form is the same: that was somebody's will. A lost one
    is back. Nothing is decided where `cause` is not the present `inventory_cause`.
    """
    missing = unregistered(state, declared)
    if not missing or inventory_cause(state, declared) != cause:
        return []
    return [*(Draft(node, SYSTEM_NAMESPACE) for node in missing), _page(state, ledger)]


def inventory_cause(state: State, declared: Inventory) -> str:
    """The id that a registration of `declared` refers back to: the same until the log changes."""
    seen = [state.nodes[n.node].changes if n.node in state.nodes else 0 for n in declared]
    forms = [node.model_dump_json() for node in unregistered(state, declared)]
    return derived_id("penstock/scheduler", f"inventory {seen} {forms}")


def unregistered(state: State, declared: Inventory) -> list[NodeRegistered]:
    """The declared nodes that the log does not have in this form, or has as lost."""
    return [
        node
        for node in declared
        if (known := state.nodes.get(node.node)) is None
        or known.registered != node
        or known.status == "lost"
    ]


def plan_cause(planned: Plan) -> Cause:
    """What a plan refers back to: the queuing of the first attempt that it places.

    That attempt is placed once, so no two plans share the ids of their events.
    """
    return planned.placements[0].cause


def decide_plan(state: State, ledger: str, cause: Cause) -> list[Draft]:
    """The placements of the present state's plan, each in its own job's story, and their page of
    the ledger.

    Nothing is decided where `cause` is not that plan's.
    """
    planned = plan(state)
    if not planned.placements or plan_cause(planned) != cause:
        return []
    page = _page(state, ledger, placed=len(planned.placements), waiting=planned.waiting)
    return [*(_placed(placement) for placement in planned.placements), page]


def _placed(placement: Placement) -> Draft:
    event = JobPlaced(
        job=placement.job,
        attempt=placement.attempt,
        node=placement.node,
        resources=placement.resources,
        gpus=placement.gpus,
        reason=placement.reason,
    )
    return Draft(event, placement.namespace, placement.cause)


def _page(state: State, ledger: str, placed: int = 0, waiting: int | None = None) -> Draft:
    if waiting is None:
        waiting = sum(len(line) for line in state.waiting.values())
    page = PlanCommitted(
        plan=ledger,
        number=state.pages.get(ledger, 0) + 1,
        placed=placed,
        preempted=0,
        waiting=waiting,
    )
    return Draft(page, SYSTEM_NAMESPACE)


def _offers(state: State, declared: Inventory) -> Iterable[Shape]:
    """What every known node offers when idle: drained and lost ones may come back, and declared
    ones are about to be registered."""
    offers = {name: node.offer for name, node in state.nodes.items()}
    offers.update({node.node: offer(node.resources) for node in declared})
    return offers.values()
