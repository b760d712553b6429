"""A fold: state in memory, rebuilt from the log and kept up to date by following it.

`state = fold(evolve, events)`. The fold follows whole nouns (all events of all aggregates of
`job`, say) in every namespace, and remembers beside the state the last sequence of each
aggregate: that is what the next append is guarded with. A stale fold is harmless, because the
log refuses the guarded append; a fold is never written to.

Malformed messages move the sequence of their aggregate but never reach `evolve`, so that they
block nobody.
"""

import asyncio
import heapq
from collections.abc import Callable, Iterable, Mapping
from typing import Generic, TypeVar

from penstock_chassis.message import Recorded, read_recorded
from penstock_chassis.ports import EventLog, StoredMessage
from penstock_schemas import Aggregate, InvalidSubject, SchemaError, filter_of, parse_subject

S = TypeVar("S")


class Fold(Generic[S]):
    """The state of one or more nouns.

    `evolve(state, recorded)` returns the state after the event; it may change `state` in place
    and return it (the fold owns it), but does nothing else: no I/O, clock or randomness.
    """

    def __init__(
        self, nouns: Iterable[str], initial: S, evolve: Callable[[S, Recorded], S]
    ) -> None:
        self.nouns = frozenset(nouns)
        self.state = initial
        self.position = 0
        """The sequence of the last message folded."""
        self._evolve = evolve
        self._heads: dict[Aggregate, int] = {}
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        """A heap: sequence awaited, a number to tell them apart, who waits."""
        self._waits = 0
        self._failed: BaseException | None = None

    @property
    def filters(self) -> tuple[str, ...]:
        """The subject filters of its nouns."""
        return tuple(filter_of(type=f"{noun}.*") for noun in sorted(self.nouns))

    def sequence_of(self, aggregate: Aggregate) -> int:
        """The last folded sequence of an aggregate, 0 where it has none.

        Raises `ValueError` for a noun that the fold does not follow: its appends would be
        guarded by nothing.
        """
        if aggregate.noun not in self.nouns:
            raise ValueError(
                f"{aggregate} is not covered by the fold of {sorted(self.nouns)}: "
                f"add the noun {aggregate.noun!r} to the fold"
            )
        return self._heads.get(aggregate, 0)

    async def reach(self, sequence: int) -> None:
        """Wait until everything up to `sequence` is folded (a sequence that it follows)."""
        if self._failed is not None:
            raise RuntimeError("the fold stopped") from self._failed
        if self.position >= sequence:
            return
        future = asyncio.get_running_loop().create_future()
        self._waits += 1
        heapq.heappush(self._waiting, (sequence, self._waits, future))
        await future

    async def follow(self, log: EventLog) -> None:
        """Fold everything from the present position on, for ever; run as a task."""
        try:
            async for stored in log.follow(self.filters, after=self.position):
                self.apply(stored)
        except BaseException as error:
            self._failed = error
            for _, _, future in self._waiting:
                if not future.done():
                    future.set_exception(RuntimeError(f"the fold stopped: {error!r}"))
            raise

    def apply(self, stored: StoredMessage) -> Recorded | None:
        """Fold one message; the event, or None where it is not valid."""
        recorded = None
        try:
            subject = parse_subject(stored.subject)
            self._heads[subject.aggregate] = stored.sequence
            recorded = read_recorded(stored, subject)
        except InvalidSubject:
            pass  # belongs to no aggregate; its consumer sends it to the dead letters
        except SchemaError:
            pass  # likewise; here only the sequence counts
        if recorded is not None:
            self.state = self._evolve(self.state, recorded)
        self.position = stored.sequence
        if self._waiting:
            self._wake()
        return recorded

    def heads(self) -> dict[Aggregate, int]:
        """The last folded sequence of every aggregate: with the state, what `resume` takes."""
        return dict(self._heads)

    def resume(self, state: S, heads: Mapping[Aggregate, int], position: int) -> None:
        """Begin with what was folded before, up to `position`, instead of the log's beginning."""
        if self.position:
            raise ValueError(f"the fold is at {self.position} already")
        self.state, self._heads, self.position = state, dict(heads), position
        self._wake()  # who asked before may wait for nothing newer

    def _wake(self) -> None:
        while self._waiting and self._waiting[0][0] <= self.position:
            future = heapq.heappop(self._waiting)[2]
            if not future.done():
                future.set_result(None)
