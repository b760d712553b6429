"""Experiments and their trials."""

from typing import Annotated, Literal

from pydantic import Field

from penstock_schemas.event import ANYONE, Event, Value
from penstock_schemas.names import ExperimentName, Name
from penstock_schemas.nouns.parts import (
    REF,
    Count,
    Inputs,
    Json,
    Metrics,
    ModelTarget,
    Objective,
    ObjectRef,
    Params,
    Positive,
    Program,
    Reason,
    Refusal,
    Resources,
    Seconds,
    TrialNumber,
)

TRIALS_MAX = 100_000


class Float(Value):
    """A real parameter in `[low, high]`, drawn on a logarithmic scale where `log`."""

    kind: Annotated[Literal["float"], Field(description="Which distribution this is")]
    low: Annotated[float, Field(description="Least value, in the parameter's unit")]
    high: Annotated[float, Field(description="Greatest value, in the parameter's unit")]
    log: Annotated[bool, Field(description="Draw on a logarithmic scale")] = False
    step: Annotated[
        float | None, Field(description="Grid, in the parameter's unit; absent: any value")
    ] = None


class Int(Value):
    """An integer parameter in `[low, high]`, both included."""

    kind: Annotated[Literal["int"], Field(description="Which distribution this is")]
    low: Annotated[int, Field(description="Least value, in the parameter's unit")]
    high: Annotated[int, Field(description="Greatest value, in the parameter's unit")]
    log: Annotated[bool, Field(description="Draw on a logarithmic scale")] = False
    step: Annotated[Positive, Field(description="Grid, in the parameter's unit")] = 1


class Categorical(Value):
    """One of a few values."""

    kind: Annotated[Literal["categorical"], Field(description="Which distribution this is")]
    choices: Annotated[
        tuple[str | int | float | bool | None, ...],
        Field(min_length=1, description="The values to choose from"),
    ]


Distribution = Annotated[Float | Int | Categorical, Field(discriminator="kind")]


class ExperimentRequested(Event):
    """Search `space` for the parameters whose trial is best by `objective`.

    Each trial runs `program` as a job with the drawn parameters over the fixed `params`. The
    best trial's model goes to `target`.
    """

    type = "experiment.requested"
    key = "experiment"
    owner = ANYONE
    declarative = True
    example = {
        "experiment": "flights-1",
        "program": {"command": ["{python}", "train.py"], "source": REF | {"kind": "folder"}},
        "space": {
            "learning_rate": {"kind": "float", "low": 0.02, "high": 0.3, "log": True},
            "max_leaf_nodes": {"kind": "int", "low": 7, "high": 63},
        },
        "objective": {"metric": "auc", "goal": "maximize"},
        "max_trials": 8,
        "parallel_trials": 2,
        "sampler": "tpe",
        "seed": 7,
        "inputs": {"training": REF},
        "target": {"model": "flight-lateness", "alias": "champion", "gate": None},
    }

    experiment: ExperimentName
    program: Program
    space: Annotated[
        dict[str, Distribution],
        Field(min_length=1, max_length=1000, description="What to draw, by parameter"),
    ]
    objective: Objective
    max_trials: Annotated[int, Field(ge=1, le=TRIALS_MAX, description="Trials to start in all")]
    parallel_trials: Annotated[
        int, Field(ge=1, le=10_000, description="Trials that may run at a time")
    ] = 1
    max_failed_trials: Annotated[
        int, Field(ge=0, description="The experiment ends once more trials than this failed")
    ] = 3
    sampler: Annotated[
        Literal["tpe", "random"], Field(description="The algorithm that draws parameters")
    ] = "tpe"
    seed: Annotated[int, Field(ge=0, lt=2**32, description="Of the sampler's random numbers")] = 0
    params: Params = {}
    inputs: Inputs = {}
    resources: Resources = Resources()
    queue: Name = "default"
    max_attempts: Annotated[Positive, Field(description="Attempts of each trial's job")] = 3
    target: ModelTarget | None = None


class ExperimentCompleted(Event):
    """No further trial follows. `best_trial` is absent where none succeeded."""

    type = "experiment.completed"
    key = "experiment"
    owner = "tuner"
    example = {
        "experiment": "flights-1",
        "best_trial": "flights-1-4",
        "best_value": 0.71,
        "succeeded": 8,
        "failed": 0,
        "pruned": 0,
        "seconds": 41.0,
        "reason": "all 8 trials ended",
    }

    experiment: ExperimentName
    best_trial: Name | None = None
    best_value: Annotated[
        float | None, Field(description="Its objective, in the metric's unit")
    ] = None
    succeeded: Annotated[Count, Field(description="Trials with a value")]
    failed: Annotated[Count, Field(description="Trials without a value")]
    pruned: Annotated[Count, Field(description="Trials stopped early")]
    seconds: Seconds
    reason: Reason


class ExperimentRejected(Event, Refusal):
    """The experiment cannot be run as asked."""

    type = "experiment.rejected"
    key = "experiment"
    owner = "tuner"
    example = {
        "experiment": "flights-1",
        "request": "0190c2a4-7b1e-7c30-8f00-000000000001",
        "reason": "space.learning_rate: low 0.3 is above high 0.02",
        "field": "space.learning_rate",
        "fix": "swap the bounds",
    }

    experiment: ExperimentName


class TrialStarted(Event):
    """The recorded suggestion: these parameters are the truth, whatever the sampler would say
    again. Appended in one batch with its `job.requested`."""

    type = "trial.started"
    key = "trial"
    owner = "tuner"
    example = {
        "trial": "flights-1-4",
        "experiment": "flights-1",
        "number": 4,
        "params": {"learning_rate": 0.08, "max_leaf_nodes": 31},
        "job": "0190c2a4-7b1e-7c30-8f00-00000000a001",
        "sampler": "tpe",
        "library": "optuna 5.0.0",
    }

    trial: Name
    experiment: ExperimentName
    number: TrialNumber
    params: Params
    job: Name
    sampler: Annotated[str, Field(description="The algorithm that drew the parameters")]
    library: Annotated[str, Field(description="The sampler's library and its version")] = ""
    attributes: Annotated[
        dict[str, Json], Field(description="What the sampler must be given back on a rebuild")
    ] = {}


class TrialPruned(Event):
    """The trial was stopped early, and why."""

    type = "trial.pruned"
    key = "trial"
    owner = "tuner"
    example = {
        "trial": "flights-1-4",
        "experiment": "flights-1",
        "number": 4,
        "step": 20,
        "value": 0.61,
        "reason": "auc 0.61 at step 20 is below the median 0.68",
    }

    trial: Name
    experiment: ExperimentName
    number: TrialNumber
    step: Annotated[Count, Field(description="The training step at which it was stopped")]
    value: Annotated[float | None, Field(description="Its objective then, in the metric's unit")]
    reason: Reason


class TrialCompleted(Event):
    """The trial's job succeeded; `value` is its objective."""

    type = "trial.completed"
    key = "trial"
    owner = "tuner"
    example = {
        "trial": "flights-1-4",
        "experiment": "flights-1",
        "number": 4,
        "value": 0.71,
        "metrics": {"auc": 0.71, "accuracy": 0.79},
        "job": "0190c2a4-7b1e-7c30-8f00-00000000a001",
        "output": REF | {"kind": "folder"},
    }

    trial: Name
    experiment: ExperimentName
    number: TrialNumber
    value: Annotated[float, Field(description="Its objective, in the metric's unit")]
    metrics: Metrics
    job: Name
    output: Annotated[ObjectRef | None, Field(description="What its job wrote, if anything")] = None


class TrialFailed(Event):
    """The trial has no value, and why."""

    type = "trial.failed"
    key = "trial"
    owner = "tuner"
    example = {
        "trial": "flights-1-4",
        "experiment": "flights-1",
        "number": 4,
        "reason": "the job succeeded without reporting the metric 'auc'",
    }

    trial: Name
    experiment: ExperimentName
    number: TrialNumber
    reason: Reason
