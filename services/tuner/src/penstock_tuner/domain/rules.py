"""How an experiment goes on: which trials start, what an ended job means, when it is over."""

import math
from collections.abc import Sequence

from penstock_chassis.message import Recorded
from penstock_schemas import (
    Event,
    ExperimentCompleted,
    ExperimentRejected,
    ExperimentRequested,
    Float,
    Int,
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
from penstock_tuner.domain.state import Experiment, State
from penstock_tuner.domain.suggestion import Suggestion


def refuse_if_wrong(state: State, message: Recorded) -> list[Event]:
    """Answer a request that makes no sense, or that asks for a name already taken otherwise."""
    request = message.event
    assert isinstance(request, ExperimentRequested)
    experiment = state.experiments[message.namespace, request.experiment]
    if experiment.cause.id != message.id:
        return []  # a repetition: the first request is the experiment
    problem = _problem(request)
    if problem is None or experiment.over:
        return []
    field, reason, fix = problem
    return [
        ExperimentRejected(
            experiment=request.experiment, request=message.id, reason=reason, field=field, fix=fix
        )
    ]


def _problem(request: ExperimentRequested) -> tuple[str, str, str] | None:
    for name, space in request.space.items():
        field = f"space.{name}"
        if isinstance(space, Float | Int):
            if space.low > space.high:
                return field, f"low {space.low} is above high {space.high}", "swap the bounds"
            if space.log and space.low <= 0:
                return field, f"a logarithmic scale needs low above 0, not {space.low}", "raise low"
            if space.log and space.step not in (None, 1):
                return field, "log and step exclude each other", "leave one of them out"
            if space.step is not None and space.step <= 0:
                return field, f"step {space.step} is not above 0", "use a positive step"
        if name in request.params:
            return field, f"{name} is both fixed in params and searched", "leave one of them out"
    return None


def wanted(state: State, namespace: str, name: str) -> tuple[int, ...]:
    """The numbers of the trials that should start now."""
    experiment = state.experiments.get((namespace, name))
    if experiment is None or experiment.over or _hopeless(experiment):
        return ()
    request = experiment.request
    free = min(
        request.parallel_trials - experiment.running, request.max_trials - len(experiment.trials)
    )
    first = len(experiment.trials)
    return tuple(range(first, first + max(free, 0)))


def continue_experiment(
    state: State, namespace: str, name: str, suggestions: Sequence[Suggestion]
) -> list[Event]:
    """Start the next trial where its suggestion is among those at hand, or end the experiment.

    One trial an append: a trial and its job appear together or not at all.
    """
    experiment = state.experiments.get((namespace, name))
    if experiment is None or experiment.over:
        return []
    numbers = wanted(state, namespace, name)
    if numbers:
        ready = {suggestion.number: suggestion for suggestion in suggestions}
        suggestion = ready.get(numbers[0])
        return _start(experiment, suggestion) if suggestion is not None else []
    if experiment.running:
        return []
    return [_completed(experiment)]


def _start(experiment: Experiment, suggestion: Suggestion) -> list[Event]:
    request = experiment.request
    trial = f"{request.experiment}-{suggestion.number}"
    job = derived_id(experiment.cause.id, "trial job", suggestion.number)
    return [
        TrialStarted(
            trial=trial,
            experiment=request.experiment,
            number=suggestion.number,
            params=suggestion.params,
            job=job,
            sampler=suggestion.sampler,
            library=suggestion.library,
            attributes=suggestion.attributes,
        ),
        JobRequested(
            job=job,
            program=request.program,
            queue=request.queue,
            params=request.params | suggestion.params,
            inputs=request.inputs,
            resources=request.resources,
            max_attempts=request.max_attempts,
            origin=Origin(noun="trial", id=trial),
        ),
    ]


def _hopeless(experiment: Experiment) -> bool:
    return experiment.count("failed") > experiment.request.max_failed_trials


def _completed(experiment: Experiment) -> ExperimentCompleted:
    failed = experiment.count("failed")
    reason = f"all {len(experiment.trials)} trials ended"
    if _hopeless(experiment):
        allowed = experiment.request.max_failed_trials
        reason = f"{failed} trials failed; more than the {allowed} that max_failed_trials allows"
    best = experiment.best
    return ExperimentCompleted(
        experiment=experiment.request.experiment,
        best_trial=best.started.trial if best else None,
        best_value=best.value if best else None,
        succeeded=experiment.count("completed"),
        failed=failed,
        pruned=experiment.count("pruned"),
        seconds=max((experiment.changed_at - experiment.requested_at).total_seconds(), 0.0),
        reason=reason,
    )


def experiment_of(state: State, namespace: str, job: str) -> str | None:
    """The experiment that a job is a trial of."""
    found = state.trial_of_job.get((namespace, job))
    return found[0] if found else None


def complete_trial(state: State, message: Recorded) -> list[Event]:
    """What the end of a trial's job means for the trial; nothing where it has ended already."""
    found = state.trial_of_job.get((message.namespace, message.event.id))
    if found is None:
        return []
    name, number = found
    experiment = state.experiments[message.namespace, name]
    trial = experiment.trials[number]
    if trial.ended is not None:
        return []
    event = message.event
    if isinstance(event, JobSucceeded):
        metric = experiment.request.objective.metric
        value = event.metrics.get(metric)
        if value is not None and math.isfinite(value):
            return [
                TrialCompleted(
                    trial=trial.started.trial,
                    experiment=name,
                    number=number,
                    value=value,
                    metrics=event.metrics,
                    job=event.job,
                    output=event.output,
                )
            ]
        reported = ", ".join(sorted(event.metrics)) or "none"
        reason = f"the job succeeded without the metric {metric!r}; it reported: {reported}"
    elif isinstance(event, JobFailed):
        if not event.final:
            return []
        reason = f"the job failed: {event.reason}"
    else:
        assert isinstance(event, JobRejected | JobCancelled)
        reason = f"the job was {event.type.split('.')[1]}: {event.reason}"
    return [
        TrialFailed(trial=trial.started.trial, experiment=name, number=number, reason=reason[:1024])
    ]
