"""What the tuner decides: each rule looks at what was done so far and says what is missing.

Trials are numbered densely, and starting number n is guarded by "there is no trial n yet", so to
start one its starter must know all before it: the numbers need no other lock, and what it does
not know yet (the end of a trial) only makes it start fewer than it could.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from penstock_chassis.message import Recorded
from penstock_schemas import (
    Event,
    ExperimentCompleted,
    ExperimentRejected,
    ExperimentRequested,
    JobCancelled,
    JobFailed,
    JobRejected,
    JobRequested,
    JobSucceeded,
    Origin,
    TrialCompleted,
    TrialFailed,
    TrialStarted,
    derived_id,
)
from penstock_tuner.domain.faults import fault_of
from penstock_tuner.domain.history import Suggestion
from penstock_tuner.domain.state import Experiment, Key, Phase, State, Status, Trial

REASON_LENGTH_MAX = 1000


@dataclass(frozen=True, slots=True)
class Drawn:
    """A suggestion for a trial number, and which library made it."""

    number: int
    suggestion: Suggestion
    library: str


def decide_request(state: State, message: Recorded) -> list[Event]:
    """Refuse an experiment that cannot be searched, or whose name is taken; else nothing.

    The same request again, word for word, is no other experiment and is not refused.
    """
    event = message.event
    assert isinstance(event, ExperimentRequested)
    known = state.experiments[message.namespace, event.experiment]
    if known.request_id != message.id:
        return _answer_second(state, known, message, event)
    fault = fault_of(event) if known.phase is Phase.ASKED else None
    if fault is None:
        return []
    return [_rejected(event, message.id, fault.reason, fault.field, fault.fix)]


def _answer_second(
    state: State, known: Experiment, message: Recorded, event: ExperimentRequested
) -> list[Event]:
    """Answer a request for a name that was taken when it was made."""
    if (message.namespace, message.id) not in state.wishes:
        return []
    if known.phase is Phase.REJECTED:
        reason = f"an earlier request for {event.experiment!r} was still being refused"
        return [_rejected(event, message.id, reason, "experiment", "ask again")]
    if known.request == event:
        return []
    reason = f"there is an experiment {event.experiment!r} already, with other content"
    return [_rejected(event, message.id, reason, "experiment", "choose another name")]


def _rejected(
    event: ExperimentRequested, request: str, reason: str, field: str, fix: str
) -> ExperimentRejected:
    return ExperimentRejected(
        experiment=event.experiment,
        request=request,
        reason=reason[:REASON_LENGTH_MAX],
        field=field,
        fix=fix,
    )


def open_numbers(experiment: Experiment) -> range:
    """The numbers of the trials to start now."""
    if experiment.phase not in (Phase.ASKED, Phase.RUNNING) or experiment.given_up:
        return range(0)
    request = experiment.request
    free = max(0, request.parallel_trials - experiment.running)
    return range(experiment.started, min(experiment.started + free, request.max_trials))


def decide_start(state: State, key: Key, drawn: Sequence[Drawn]) -> list[Event]:
    """Start the drawn trials with their jobs; nothing where these are no longer the next."""
    experiment = state.experiments[key]
    numbers = list(open_numbers(experiment)[: len(drawn)])
    if not drawn or [one.number for one in drawn] != numbers or fault_of(experiment.request):
        return []
    return [event for one in drawn for event in _started(experiment, one)]


def _started(experiment: Experiment, drawn: Drawn) -> list[Event]:
    request = experiment.request
    trial = f"{request.experiment}-{drawn.number}"
    job = derived_id(experiment.request_id, f"trial job of {request.experiment}", drawn.number)
    params = dict(drawn.suggestion.params)
    return [
        TrialStarted(
            trial=trial,
            experiment=request.experiment,
            number=drawn.number,
            params=params,
            job=job,
            sampler=request.sampler,
            library=drawn.library,
            attributes=dict(drawn.suggestion.attributes),
        ),
        JobRequested(
            job=job,
            program=request.program,
            queue=request.queue,
            params={**request.params, **params},
            inputs=request.inputs,
            resources=request.resources,
            max_attempts=request.max_attempts,
            origin=Origin(noun="trial", id=trial),
            target=None,
        ),
    ]


def decide_trial_end(state: State, message: Recorded) -> list[Event]:
    """End the trial whose job ended; nothing for other jobs, and for trials that ended."""
    job = state.jobs.get((message.namespace, message.event.id))
    if job is None:
        return []
    key = message.namespace, job.experiment
    trial = state.trials[key][job.number]
    if trial.status is not Status.RUNNING:
        return []
    event = message.event
    if isinstance(event, JobSucceeded):
        return [_valued(state.experiments[key], trial, event)]
    if isinstance(event, JobFailed):
        return [_failed(trial, f"its job failed: {event.reason}")] if event.final else []
    if isinstance(event, JobRejected):
        # Somebody's other request under this id may be refused; that is not this trial's end.
        ours = event.request == job.request_id
        return [_failed(trial, f"its job was refused: {event.reason}")] if ours else []
    assert isinstance(event, JobCancelled)
    return [_failed(trial, f"its job was cancelled: {event.reason}")]


def _valued(experiment: Experiment, trial: Trial, event: JobSucceeded) -> Event:
    metric = experiment.request.objective.metric
    value = event.metrics.get(metric)
    if value is None:
        there = ", ".join(sorted(event.metrics)) or "none"
        reason = f"its job succeeded without reporting the metric {metric!r} (reported: {there})"
        return _failed(trial, reason)
    if not math.isfinite(value):
        return _failed(trial, f"its metric {metric!r} is {value}, which is no number to compare")
    return TrialCompleted(
        trial=trial.started.trial,
        experiment=trial.started.experiment,
        number=trial.number,
        value=value,
        metrics=event.metrics,
        job=event.job,
        output=event.output,
    )


def _failed(trial: Trial, reason: str) -> TrialFailed:
    return TrialFailed(
        trial=trial.started.trial,
        experiment=trial.started.experiment,
        number=trial.number,
        reason=reason[:REASON_LENGTH_MAX],
    )


def decide_completion(state: State, key: Key) -> list[Event]:
    """Complete an experiment once no trial runs and none will start."""
    experiment = state.experiments[key]
    request = experiment.request
    everything = experiment.started == request.max_trials
    if experiment.phase is not Phase.RUNNING or experiment.running:
        return []
    if not everything and not experiment.given_up:
        return []
    reason = f"all {request.max_trials} trials ended"
    if not everything:
        reason = (
            f"{experiment.failed} trials failed, more than the {request.max_failed_trials} "
            "that max_failed_trials allows"
        )
    assert experiment.last_end is not None
    seconds = (experiment.last_end - experiment.requested_at).total_seconds()
    best = experiment.best
    return [
        ExperimentCompleted(
            experiment=request.experiment,
            best_trial=best.started.trial if best else None,
            best_value=best.value if best else None,
            succeeded=experiment.succeeded,
            failed=experiment.failed,
            pruned=experiment.pruned,
            seconds=max(0.0, seconds),
            reason=reason,
        )
    ]
