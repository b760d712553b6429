"""What the registry knows, folded from the log. Every key starts with the namespace."""

from dataclasses import dataclass, field

from penstock_chassis.message import Recorded
from penstock_schemas import (
    ExperimentRejected,
    ExperimentRequested,
    JobCancelled,
    JobFailed,
    JobRejected,
    JobRequested,
    JobSucceeded,
    ModelDemoted,
    ModelPromoted,
    ModelRegistered,
    ObjectRef,
    PromotionRefused,
    PromotionRejected,
    PromotionRequested,
    TrialCompleted,
    TrialStarted,
    derived_id,
)

GATE_JOBS_MAX = 5
"""Gate jobs of one promotion: each one after the first answers a change of the incumbent."""

Key = tuple[str, str]
"""Namespace, and a name or an id."""


@dataclass(frozen=True, slots=True)
class Promotion:
    """A version put forward. `request_id` is the id of the event that asked for it."""

    request: PromotionRequested
    request_id: str
    gate_jobs: int = 0
    ended: bool = False


@dataclass(frozen=True, slots=True)
class GateJob:
    """A job that judges a promotion, the `number`th of it, against `incumbent`."""

    promotion: str
    number: int
    incumbent: ObjectRef | None
    request_id: str


@dataclass(frozen=True, slots=True)
class AskedJob:
    """A job, by its first request: a later one under the same id is another's, and is refused."""

    request: JobRequested
    request_id: str


@dataclass(frozen=True, slots=True)
class AskedExperiment:
    """An experiment with a target."""

    request: ExperimentRequested
    request_id: str


@dataclass
class State:
    """The registry's own things, and what it must know of the jobs that made models."""

    versions: dict[Key, dict[int, ObjectRef]] = field(default_factory=dict)
    """By model: the artifact of each version."""
    aliases: dict[tuple[str, str, str], int] = field(default_factory=dict)
    """By namespace, model and alias: the version that it names."""
    jobs: dict[Key, AskedJob] = field(default_factory=dict)
    """Jobs that have not ended, or whose model is not registered yet."""
    experiments: dict[Key, AskedExperiment] = field(default_factory=dict)
    """Experiments with a target whose model is not registered yet."""
    started: dict[Key, TrialStarted] = field(default_factory=dict)
    completed: dict[Key, TrialCompleted] = field(default_factory=dict)
    promotions: dict[Key, Promotion] = field(default_factory=dict)
    gates: dict[Key, GateJob] = field(default_factory=dict)
    """By job."""


def gate_job_id(promotion: Promotion, number: int) -> str:
    """The id of the `number`th gate job (from 1) of a promotion.

    The promotion's own id is part of it: ids of events are unique for each of their sources only.
    """
    return derived_id(promotion.request_id, f"gate job {promotion.request.promotion}", number)


def _first_gate_job_id(promotion: Promotion, number: int) -> str:
    """The form that the oldest histories have."""
    return derived_id(promotion.request_id, "gate job", number)


def evolve(state: State, recorded: Recorded) -> State:
    """The state after an event."""
    _promoted(state, recorded)
    _trained(state, recorded)
    return state


def _promoted(state: State, recorded: Recorded) -> None:
    """Models and promotions."""
    ns, event = recorded.namespace, recorded.event
    match event:
        case ModelRegistered():
            state.versions.setdefault((ns, event.model), {})[event.model_version] = event.artifact
            if event.lineage.experiment is not None:
                state.experiments.pop((ns, event.lineage.experiment), None)
            elif event.lineage.job is not None:
                state.jobs.pop((ns, event.lineage.job), None)
        case ModelPromoted():
            state.aliases[ns, event.model, event.alias] = event.model_version
            _end(state, (ns, event.promotion))
        case ModelDemoted():
            if state.aliases.get((ns, event.model, event.alias)) == event.model_version:
                del state.aliases[ns, event.model, event.alias]
        case PromotionRequested():
            state.promotions.setdefault((ns, event.promotion), Promotion(event, recorded.id))
        case PromotionRefused():
            _end(state, (ns, event.promotion))
        case PromotionRejected():
            _end(state, (ns, event.promotion), event.request)


def _trained(state: State, recorded: Recorded) -> None:
    """Jobs, experiments and trials."""
    ns, event = recorded.namespace, recorded.event
    match event:
        case JobRequested():
            _asked(state, ns, event, recorded.id)
        case JobRejected():
            asked = state.jobs.get((ns, event.job))
            if asked is not None and asked.request_id == event.request:
                del state.jobs[ns, event.job]
        case JobSucceeded():
            asked = state.jobs.get((ns, event.job))
            if asked is not None and asked.request.target is None:
                del state.jobs[ns, event.job]
        case JobFailed(final=True) | JobCancelled():
            state.jobs.pop((ns, event.job), None)
        case ExperimentRequested() if event.target is not None:
            wanted = AskedExperiment(event, recorded.id)
            state.experiments.setdefault((ns, event.experiment), wanted)
        case ExperimentRejected():
            known = state.experiments.get((ns, event.experiment))
            if known is not None and known.request_id == event.request:
                del state.experiments[ns, event.experiment]
        case TrialStarted() if (ns, event.experiment) in state.experiments:
            state.started.setdefault((ns, event.trial), event)
        case TrialCompleted() if (ns, event.experiment) in state.experiments:
            state.completed.setdefault((ns, event.trial), event)


def _asked(state: State, ns: str, job: JobRequested, request_id: str) -> None:
    state.jobs.setdefault((ns, job.job), AskedJob(job, request_id))
    if job.origin is None or job.origin.noun != "promotion":
        return
    promotion = state.promotions.get((ns, job.origin.id))
    if promotion is None:
        return
    # Only a job under the id that the registry itself derives may judge.
    number = promotion.gate_jobs + 1
    if job.job in (gate_job_id(promotion, number), _first_gate_job_id(promotion, number)):
        state.gates[ns, job.job] = GateJob(
            job.origin.id, number, job.inputs.get("incumbent"), request_id
        )
        state.promotions[ns, job.origin.id] = Promotion(
            promotion.request, promotion.request_id, number, promotion.ended
        )


def _end(state: State, key: Key, request_id: str | None = None) -> None:
    """End a promotion; where a request is named, only if it is this promotion's own."""
    promotion = state.promotions.get(key)
    if promotion is not None and request_id in (None, promotion.request_id):
        state.promotions[key] = Promotion(
            promotion.request, promotion.request_id, promotion.gate_jobs, ended=True
        )
