"""Suggestions by Optuna: a new sampler for each ask, over a study rebuilt from the log.

The sampler of trial n is seeded by `SeedSequence([seed, n])`, and the study holds the trials
before n in the order of their numbers, running ones included: so that any process, after any
crash, is told the same. Optuna's own storage and pruners are not used; the log is the storage.
Optuna is imported at the first ask; asks run in a thread, one at a time.
"""

import asyncio
from typing import Any

from penstock_schemas import Categorical, Float, Int
from penstock_tuner.domain.state import Experiment
from penstock_tuner.domain.suggestion import Suggestion


class OptunaSuggester:
    """`Suggester` with Optuna's TPE or random sampler."""

    def __init__(self) -> None:
        self._one_at_a_time = asyncio.Lock()

    async def suggest(self, experiment: Experiment, number: int) -> Suggestion:
        """See `Suggester.suggest`."""
        async with self._one_at_a_time:
            return await asyncio.to_thread(ask, experiment, number)


def ask(experiment: Experiment, number: int) -> Suggestion:
    """Ask for trial `number`; blocks for milliseconds, at the first call for a second."""
    import numpy as np  # noqa: PLC0415 - heavy, and only here
    import optuna  # noqa: PLC0415

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    request = experiment.request
    seed = int(np.random.SeedSequence([request.seed, number]).generate_state(1)[0])
    samplers: dict[str, Any] = {
        "tpe": optuna.samplers.TPESampler,
        "random": optuna.samplers.RandomSampler,
    }
    study = optuna.create_study(
        direction=request.objective.goal, sampler=samplers[request.sampler](seed=seed)
    )
    distributions = {name: _distribution(optuna, d) for name, d in request.space.items()}
    for trial in experiment.trials[:number]:
        study.add_trial(_frozen(optuna, trial, distributions))
    asked = study.ask(fixed_distributions=distributions)
    return Suggestion(
        number=number,
        params=dict(asked.params),
        sampler=request.sampler,
        library=f"optuna {optuna.__version__}",
        attributes=dict(study.trials[number].system_attrs),
    )


def _distribution(optuna: Any, space: Float | Int | Categorical) -> Any:
    kinds = optuna.distributions
    match space:
        case Float():
            return kinds.FloatDistribution(space.low, space.high, log=space.log, step=space.step)
        case Int():
            return kinds.IntDistribution(space.low, space.high, log=space.log, step=space.step)
        case Categorical():
            return kinds.CategoricalDistribution(space.choices)


def _frozen(optuna: Any, trial: Any, distributions: dict[str, Any]) -> Any:
    states = optuna.trial.TrialState
    state = {
        None: states.RUNNING,
        "completed": states.COMPLETE,
        "failed": states.FAIL,
        "pruned": states.PRUNED,
    }[trial.ended]
    return optuna.trial.create_trial(
        state=state,
        value=trial.value if trial.ended == "completed" else None,
        params=dict(trial.started.params),
        distributions=distributions,
        system_attrs=dict(trial.started.attributes),
    )
