"""The gateway's fold: it feeds the projector what comes from now on.

What is older the projector reads from the log itself, from where its rows stand.
"""

from penstock_chassis.fold import Fold
from penstock_chassis.message import Recorded
from penstock_chassis.ports import EventLog, StoredMessage
from penstock_gateway.domain.state import NOUNS, State, evolve
from penstock_gateway.supervisor.projector import Projector


class FeedingFold(Fold[State]):
    """The fold over every noun."""

    def __init__(self, projector: Projector) -> None:
        super().__init__(NOUNS, State(), evolve)
        self._projector = projector

    async def follow(self, log: EventLog) -> None:
        """See `Fold.follow`; it begins at the end of the log."""
        if self.position == 0:
            head = await self._projector.insist(lambda: log.head(self.filters))
            self.resume(State(), {}, head)
        self._projector.begin(self.position)
        await super().follow(log)

    def apply(self, stored: StoredMessage) -> Recorded | None:
        """See `Fold.apply`."""
        recorded = super().apply(stored)
        self._projector.feed(stored, recorded)
        return recorded
