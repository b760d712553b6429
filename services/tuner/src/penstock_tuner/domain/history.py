"""What a sampler is told and what it answers: values only, the same for the same log."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pydantic import JsonValue

from penstock_schemas import Distribution, ExperimentRequested
from penstock_tuner.domain.state import Key, State, Status


@dataclass(frozen=True, slots=True)
class Search:
    """What is searched, and how."""

    space: Mapping[str, Distribution]
    goal: Literal["maximize", "minimize"]
    sampler: str
    """`tpe` or `random`."""
    seed: int


@dataclass(frozen=True, slots=True)
class PastTrial:
    """A trial as a sampler sees it; the running ones count, too."""

    number: int
    params: Mapping[str, JsonValue]
    """Of the space alone, without the experiment's fixed parameters."""
    attributes: Mapping[str, JsonValue]
    """What the sampler answered beside the parameters."""
    status: Status
    value: float | None


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Parameters to try, and what the sampler must be given back in later histories."""

    params: Mapping[str, JsonValue]
    attributes: Mapping[str, JsonValue] = field(default_factory=dict)


def search_of(request: ExperimentRequested) -> Search:
    """The search that an experiment asks for."""
    return Search(request.space, request.objective.goal, request.sampler, request.seed)


def history(state: State, key: Key) -> tuple[PastTrial, ...]:
    """The trials of an experiment in number order."""
    return tuple(
        PastTrial(
            trial.number,
            trial.started.params,
            trial.started.attributes,
            trial.status,
            trial.value,
        )
        for trial in state.trials.get(key, ())
    )
