"""A fake of the tuner's port."""

import random
from collections.abc import Sequence

from pydantic import JsonValue

from penstock_schemas import Categorical, Float
from penstock_tuner.domain import PastTrial, Search, Suggestion


class SeededSuggester:
    """Draws from the seed and the number alone, at once and without a library."""

    library = "seeded 1"

    async def suggest(
        self, search: Search, history: Sequence[PastTrial], number: int
    ) -> Suggestion:
        """See `Suggester.suggest`."""
        assert [trial.number for trial in history] == list(range(number))
        chance = random.Random(f"{search.seed} {number}")
        params: dict[str, JsonValue] = {}
        for name, space in search.space.items():
            if isinstance(space, Categorical):
                params[name] = chance.choice(space.choices)
            elif isinstance(space, Float):
                params[name] = chance.uniform(space.low, space.high)
            else:
                params[name] = chance.randint(space.low, space.high)
        return Suggestion(params, {"drawn": number})
