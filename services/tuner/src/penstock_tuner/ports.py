"""The tuner's outside role: a sampler."""

from collections.abc import Sequence
from typing import Protocol

from penstock_tuner.domain import PastTrial, Search, Suggestion


class Suggester(Protocol):
    """Draws the parameters of a trial.

    The answer depends on the arguments alone: asked again after a crash, with the same history,
    it is the same. It never blocks the event loop.
    """

    @property
    def library(self) -> str:
        """The library and its version, recorded with each suggestion. May be empty before the
        first one."""
        ...

    async def suggest(
        self, search: Search, history: Sequence[PastTrial], number: int
    ) -> Suggestion:
        """The parameters of trial `number`, given all trials before it in number order."""
        ...
