"""`Suggester` on Optuna: a fresh sampler and a rebuilt in-memory study for every question.

Each question has a sampler of its own, seeded by `SeedSequence([seed, number])`, and a study
rebuilt in number order with the running trials and all attributes. That is what makes the answer
after a restart equal to the one before it (measured for random, TPE, CMA-ES, NSGA-II, QMC). The
library's own storages and pruners are not used: the log is the storage.

Choices are given to Optuna by their index, so that any JSON value may be one, and ranges end at
the last point of their grid.
"""

import asyncio
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from pydantic import JsonValue

from penstock_schemas import Categorical, Distribution, Float
from penstock_tuner.domain import PastTrial, Search, Status, Suggestion


class OptunaSuggester:
    """Asks Optuna in a thread; the library is imported at the first question."""

    def __init__(self) -> None:
        self._library = ""

    @property
    def library(self) -> str:
        """`optuna <version>`, once it was asked."""
        return self._library

    async def suggest(
        self, search: Search, history: Sequence[PastTrial], number: int
    ) -> Suggestion:
        """See `Suggester.suggest`. Raises `ValueError` for a history that is not 0 .. number-1."""
        if [trial.number for trial in history] != list(range(number)):
            raise ValueError(f"trial {number} needs the history of trials 0 to {number - 1}")
        return await asyncio.to_thread(self._ask, search, tuple(history), number)

    def _ask(self, search: Search, history: Sequence[PastTrial], number: int) -> Suggestion:
        import numpy  # noqa: PLC0415 - heavy, and only needed where trials are drawn
        import optuna  # noqa: PLC0415

        self._library = f"optuna {optuna.__version__}"
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        seed = int(numpy.random.SeedSequence([search.seed, number]).generate_state(1)[0])
        samplers = {"tpe": optuna.samplers.TPESampler, "random": optuna.samplers.RandomSampler}
        space = {name: _optuna_distribution(d) for name, d in search.space.items()}
        storage = optuna.storages.InMemoryStorage()
        study = optuna.create_study(
            direction=search.goal,
            sampler=samplers[search.sampler](seed=seed),
            storage=storage,
            pruner=optuna.pruners.NopPruner(),
        )
        # What samplers keep in a study and its trials is reached through the storage alone.
        for key, value in _study_attributes(history).items():
            storage.set_study_system_attr(study._study_id, key, value)
        study.add_trials([_frozen(trial, search.space, space) for trial in history])
        trial = study.ask(fixed_distributions=space)
        assert trial.number == number
        params = {
            name: _from_optuna(search.space[name], value) for name, value in trial.params.items()
        }
        left = {
            "trial": storage.get_trial_system_attrs(trial._trial_id),
            "study": storage.get_study_system_attrs(study._study_id),
        }
        attributes: dict[str, JsonValue] = {of: dict(kept) for of, kept in left.items() if kept}
        return Suggestion({name: params[name] for name in search.space}, attributes)


def _optuna_distribution(space: Distribution) -> Any:
    from optuna import distributions  # noqa: PLC0415

    if isinstance(space, Categorical):
        return distributions.CategoricalDistribution(range(len(space.choices)))
    if isinstance(space, Float):
        high = space.high if space.step is None else _grid_end(space.low, space.high, space.step)
        return distributions.FloatDistribution(space.low, high, log=space.log, step=space.step)
    last = space.high - (space.high - space.low) % space.step
    return distributions.IntDistribution(space.low, last, log=space.log, step=space.step)


def _grid_end(low: float, high: float, step: float) -> float:
    """The last point of the grid, in the decimal fractions that people wrote and Optuna checks."""
    first, last, width = Decimal(str(low)), Decimal(str(high)), Decimal(str(step))
    return float(first + (last - first) // width * width)


def _from_optuna(space: Distribution, value: Any) -> JsonValue:
    if isinstance(space, Categorical):
        choice: JsonValue = space.choices[value]
        return choice
    return float(value) if isinstance(space, Float) else int(value)


def _to_optuna(space: Distribution, value: JsonValue) -> Any:
    if isinstance(space, Categorical):
        return next(
            index
            for index, choice in enumerate(space.choices)
            if choice == value and isinstance(choice, bool) == isinstance(value, bool)
        )
    return value


def _study_attributes(history: Sequence[PastTrial]) -> Mapping[str, Any]:
    """The study's attributes after the last question."""
    merged: dict[str, Any] = {}
    for trial in history:
        attributes = trial.attributes.get("study", {})
        assert isinstance(attributes, dict)
        merged.update(attributes)
    return merged


def _frozen(trial: PastTrial, space: Mapping[str, Distribution], ours: Mapping[str, Any]) -> Any:
    import optuna  # noqa: PLC0415

    states = {
        Status.RUNNING: optuna.trial.TrialState.RUNNING,
        Status.SUCCEEDED: optuna.trial.TrialState.COMPLETE,
        Status.FAILED: optuna.trial.TrialState.FAIL,
        Status.PRUNED: optuna.trial.TrialState.PRUNED,
    }
    attributes = trial.attributes.get("trial", {})
    assert isinstance(attributes, dict)
    return optuna.trial.create_trial(
        state=states[trial.status],
        value=trial.value if trial.status is Status.SUCCEEDED else None,
        params={name: _to_optuna(space[name], trial.params[name]) for name in space},
        distributions=dict(ours),
        system_attrs=attributes,
    )
