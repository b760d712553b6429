"""A fake suggester: deterministic, no library."""

from penstock_schemas import Categorical
from penstock_tuner.domain.state import Experiment
from penstock_tuner.domain.suggestion import Suggestion

STEPS = 10


class FakeSuggester:
    """Walks each range in tenths, by the number of the trial."""

    async def suggest(self, experiment: Experiment, number: int) -> Suggestion:
        """See `Suggester.suggest`."""
        params: dict[str, object] = {}
        for name, space in experiment.request.space.items():
            if isinstance(space, Categorical):
                params[name] = space.choices[number % len(space.choices)]
            else:
                value = space.low + (space.high - space.low) * (number % STEPS) / STEPS
                params[name] = int(value) if space.kind == "int" else value
        return Suggestion(number, params, "fake", "fake 1")
