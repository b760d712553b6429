"""From a job or an experiment that ended well to the next version of its target's model."""

from collections.abc import Mapping

from penstock_chassis.message import Recorded
from penstock_registry.domain.state import State
from penstock_schemas import (
    Event,
    ExperimentCompleted,
    JobSucceeded,
    Lineage,
    ModelRegistered,
    ModelTarget,
    ObjectRef,
    Program,
    PromotionRequested,
    derived_id,
)


def decide_job_model(state: State, message: Recorded) -> list[Event]:
    """Register the output of a job with a target, and put it forward; once a job."""
    done = message.event
    assert isinstance(done, JobSucceeded)
    asked = state.jobs.get((message.namespace, done.job))
    if asked is None or asked.request.target is None or done.output is None:
        return []
    job = asked.request
    assert job.target is not None
    lineage = Lineage(
        job=done.job,
        source=_source(job.program),
        inputs=_digests(job.inputs),
        params=job.params,
    )
    return _register(state, message, job.target, done.output, done.metrics, lineage)


def decide_experiment_model(state: State, message: Recorded) -> list[Event]:
    """Register the output of an experiment's best trial, and put it forward; once each."""
    done = message.event
    assert isinstance(done, ExperimentCompleted)
    ns = message.namespace
    asked = state.experiments.get((ns, done.experiment))
    if asked is None or done.best_trial is None:
        return []
    experiment = asked.request
    assert experiment.target is not None
    best = state.completed.get((ns, done.best_trial))
    if best is None or best.output is None:
        return []
    started = state.started.get((ns, done.best_trial))
    lineage = Lineage(
        job=best.job,
        trial=best.trial,
        experiment=done.experiment,
        source=_source(experiment.program),
        inputs=_digests(experiment.inputs),
        params={**experiment.params, **(started.params if started else {})},
    )
    return _register(state, message, experiment.target, best.output, best.metrics, lineage)


def _register(
    state: State,
    message: Recorded,
    target: ModelTarget,
    artifact: ObjectRef,
    metrics: Mapping[str, float],
    lineage: Lineage,
) -> list[Event]:
    version = max(state.versions.get((message.namespace, target.model), {}), default=0) + 1
    return [
        ModelRegistered(
            model=target.model,
            model_version=version,
            artifact=artifact,
            metrics=dict(metrics),
            lineage=lineage,
        ),
        PromotionRequested(
            promotion=derived_id(message.id, "promotion"),
            model=target.model,
            model_version=version,
            alias=target.alias,
            gate=target.gate,
        ),
    ]


def _source(program: Program) -> str | None:
    return program.source.digest if program.source is not None else None


def _digests(inputs: Mapping[str, ObjectRef]) -> dict[str, str]:
    return {name: ref.digest for name, ref in inputs.items()}
