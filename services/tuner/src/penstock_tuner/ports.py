"""The port of the tuner: where suggestions come from."""

from typing import Protocol

from penstock_tuner.domain.state import Experiment
from penstock_tuner.domain.suggestion import Suggestion


class Suggester(Protocol):
    """Proposes parameters."""

    async def suggest(self, experiment: Experiment, number: int) -> Suggestion:
        """Parameters for trial `number`, from the trials before it, running ones included.

        The same experiment and number give the same suggestion, also in another process.
        """
        ...
