"""How a version earns an alias: at once, or by what a gate job measures against the incumbent."""

import math
from collections.abc import Mapping

from penstock_chassis.message import Recorded
from penstock_registry.domain.state import GATE_JOBS_MAX, GateJob, Promotion, State, gate_job_id
from penstock_schemas import (
    Event,
    Gate,
    JobCancelled,
    JobFailed,
    JobRejected,
    JobRequested,
    JobSucceeded,
    ModelPromoted,
    ObjectRef,
    Origin,
    PromotionRefused,
    PromotionRejected,
    PromotionRequested,
)

GATE_INPUTS = frozenset({"candidate", "incumbent"})
"""Names of inputs that the registry gives to a gate job itself."""
REASON_LENGTH_MAX = 1000
"""Characters of a reason that quotes another one."""


def decide_promotion(state: State, message: Recorded) -> list[Event]:
    """Reject, promote at once, refuse, or ask for the first gate job."""
    request = message.event
    assert isinstance(request, PromotionRequested)
    ns = message.namespace
    promotion = state.promotions[ns, request.promotion]
    if promotion.request_id != message.id or promotion.ended or promotion.gate_jobs:
        return []
    if rejected := _check(state, message, request):
        return [rejected]
    if incumbent_of(state, ns, request) == request.model_version:
        return [_refuse(request, f"{_this(request)} is {request.alias} already")]
    if request.gate is None:
        return [_promote(state, ns, request, {}, "promoted without a gate, as asked")]
    return [_gate_job(state, ns, promotion, request.gate)]


def decide_gate_succeeded(state: State, message: Recorded) -> list[Event]:
    """Judge by the metrics of a gate job, or judge anew where the incumbent has changed."""
    done = message.event
    assert isinstance(done, JobSucceeded)
    ns = message.namespace
    judged = _judged(state, ns, done.job)
    if judged is None:
        return []
    run, promotion, gate = judged
    request = promotion.request
    incumbent = incumbent_of(state, ns, request)
    if incumbent == request.model_version:
        return [_refuse(request, f"{_this(request)} is {request.alias} already")]
    if _artifact(state, ns, request.model, incumbent) != run.incumbent:
        if promotion.gate_jobs >= GATE_JOBS_MAX:
            reason = f"the incumbent changed during each of {GATE_JOBS_MAX} gate jobs"
            return [_refuse(request, reason, done.metrics)]
        return [_gate_job(state, ns, promotion, gate)]
    earned, reason = compare(gate, done.metrics, incumbent)
    if earned:
        return [_promote(state, ns, request, done.metrics, reason)]
    return [_refuse(request, reason, done.metrics)]


def decide_gate_ended(state: State, message: Recorded) -> list[Event]:
    """A gate job that ended without a result earns nothing."""
    end = message.event
    assert isinstance(end, JobFailed | JobCancelled | JobRejected)
    judged = _judged(state, message.namespace, end.job)
    if judged is None or (isinstance(end, JobFailed) and not end.final):
        return []
    if isinstance(end, JobRejected) and end.request != judged[0].request_id:
        return []  # somebody's other request under this id
    how = end.type.split(".", 1)[1]
    reason = f"the gate job {end.job} was {how}: {end.reason}"
    if isinstance(end, JobFailed):
        reason = f"the gate job {end.job} failed: {end.reason}"
    return [_refuse(judged[1].request, reason[:REASON_LENGTH_MAX])]


def compare(gate: Gate, metrics: Mapping[str, float], incumbent: int | None) -> tuple[bool, str]:
    """Whether the candidate earned the alias by these metrics, and why, with the numbers."""
    metric = gate.objective.metric
    candidate = metrics.get(f"candidate_{metric}")
    if candidate is None or not math.isfinite(candidate):
        return False, f"the gate job reported no finite metric 'candidate_{metric}'"
    if incumbent is None:
        return True, f"{metric} {candidate:.6g}; there is no incumbent to beat"
    other = metrics.get(f"incumbent_{metric}")
    if other is None or not math.isfinite(other):
        return False, f"the gate job reported no finite metric 'incumbent_{metric}'"
    gain = candidate - other if gate.objective.goal == "maximize" else other - candidate
    of = f"{other:.6g} of version {incumbent}"
    if gain > gate.min_gain:
        return True, (
            f"{metric} {candidate:.6g} beats {of} by {gain:.6g}"
            f" (needed: more than {gate.min_gain:.6g})"
        )
    return False, f"{metric} {candidate:.6g} does not beat {of} by more than {gate.min_gain:.6g}"


def incumbent_of(state: State, ns: str, request: PromotionRequested) -> int | None:
    """The version that the alias names now."""
    return state.aliases.get((ns, request.model, request.alias))


def _judged(state: State, ns: str, job: str) -> tuple[GateJob, Promotion, Gate] | None:
    """The open promotion that waits for this job."""
    run = state.gates.get((ns, job))
    if run is None:
        return None
    promotion = state.promotions[ns, run.promotion]
    gate = promotion.request.gate
    if promotion.ended or run.number != promotion.gate_jobs or gate is None:
        return None
    return run, promotion, gate


def _check(state: State, message: Recorded, request: PromotionRequested) -> Event | None:
    versions = state.versions.get((message.namespace, request.model), {})
    if request.model_version not in versions:
        newest = f"the newest is {max(versions)}" if versions else "the model has no version yet"
        return PromotionRejected(
            promotion=request.promotion,
            request=message.id,
            reason=f"model {request.model} has no version {request.model_version}; {newest}",
            field="model_version",
            fix="name a registered version",
        )
    taken = sorted(GATE_INPUTS & set(request.gate.inputs)) if request.gate is not None else []
    if taken:
        return PromotionRejected(
            promotion=request.promotion,
            request=message.id,
            reason=f"the gate's input {taken[0]!r} is given by the registry",
            field=f"gate.inputs.{taken[0]}",
            fix="rename the input",
        )
    return None


def _gate_job(state: State, ns: str, promotion: Promotion, gate: Gate) -> JobRequested:
    request = promotion.request
    inputs = {**gate.inputs, "candidate": state.versions[ns, request.model][request.model_version]}
    incumbent = _artifact(state, ns, request.model, incumbent_of(state, ns, request))
    if incumbent is not None:
        inputs["incumbent"] = incumbent
    return JobRequested(
        job=gate_job_id(promotion, promotion.gate_jobs + 1),
        program=gate.program,
        inputs=inputs,
        origin=Origin(noun="promotion", id=request.promotion),
    )


def _artifact(state: State, ns: str, model: str, version: int | None) -> ObjectRef | None:
    return None if version is None else state.versions.get((ns, model), {}).get(version)


def _promote(
    state: State, ns: str, request: PromotionRequested, evidence: Mapping[str, float], reason: str
) -> ModelPromoted:
    return ModelPromoted(
        model=request.model,
        model_version=request.model_version,
        alias=request.alias,
        previous_version=incumbent_of(state, ns, request),
        promotion=request.promotion,
        evidence=dict(evidence),
        reason=reason,
    )


def _refuse(
    request: PromotionRequested, reason: str, evidence: Mapping[str, float] | None = None
) -> PromotionRefused:
    return PromotionRefused(
        promotion=request.promotion,
        model=request.model,
        model_version=request.model_version,
        alias=request.alias,
        evidence=dict(evidence or {}),
        reason=reason,
    )


def _this(request: PromotionRequested) -> str:
    return f"version {request.model_version} of {request.model}"
