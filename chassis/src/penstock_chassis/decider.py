"""The decider: decide from folded state, append with guards, decide again when somebody was
faster.

This is the one way in which a service says anything. A decision is a pure function of the state
and the message; a message delivered twice finds the state already changed and decides nothing.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

from penstock_chassis.errors import Conflict, Retry, Unavailable
from penstock_chassis.fold import Fold
from penstock_chassis.message import Cause, Draft, Recorded, draft_ids, to_message
from penstock_chassis.ports import Clock, EventLog, Guard, Message
from penstock_chassis.tracing import current_traceparent
from penstock_schemas import Aggregate, Event

S = TypeVar("S")

CONFLICTS_MAX = 50
"""How often a decision is made anew before the message is put back for a while."""
APPEND_TRIES_MAX = 5
"""How often one append is sent where no answer comes; it carries the same ids each time."""
APPEND_PAUSE_SECONDS = 0.05
CONTENDED_RETRY_SECONDS = 1.0

Decision = Iterable[Event | Draft]


class Decider(Generic[S]):
    """Appends what rules decide from the state of one fold.

    Every aggregate that a decision touches must be covered by the fold: its first event is
    guarded by the sequence that the fold has seen. Several events are one atomic append.
    """

    def __init__(self, service: str, log: EventLog, clock: Clock, fold: Fold[S]) -> None:
        self.fold = fold
        self._source = f"penstock/{service}"
        self._log = log
        self._clock = clock
        self._reached = 0

    async def handle(
        self, message: Recorded, rule: Callable[[S, Recorded], Decision]
    ) -> Sequence[Event]:
        """Decide about a message and append; what was appended, or nothing."""
        return await self.decide(
            message.cause, lambda state: rule(state, message), after=message.sequence
        )

    async def decide(
        self, cause: Cause, rule: Callable[[S], Decision], *, after: int = 0
    ) -> Sequence[Event]:
        """Decide because of `cause` once everything up to `after` is folded, and append.

        Raises `Retry` where the aggregates are so contended that no decision stood.
        """
        for _ in range(CONFLICTS_MAX):
            await self.fold.reach(max(after, self._reached))
            drafts = [
                item if isinstance(item, Draft) else Draft(item, cause.namespace)
                for item in rule(self.fold.state)
            ]
            if not drafts:
                return ()
            try:
                await self._append(self._messages(cause, drafts))
            except Conflict as conflict:
                seen = conflict.sequence or await self._log.head(self.fold.filters)
                after = max(after, seen)
                continue
            return tuple(draft.event for draft in drafts)
        raise Retry(CONTENDED_RETRY_SECONDS, f"other writers were faster {CONFLICTS_MAX} times")

    async def settle(self) -> S:
        """The state once it holds everything that this decider has appended."""
        await self.fold.reach(self._reached)
        return self.fold.state

    def _messages(self, cause: Cause, drafts: Sequence[Draft]) -> list[Message]:
        ids = draft_ids(cause, self._source, drafts)
        guarded: set[Aggregate] = set()
        messages = []
        now = self._clock.now()
        traceparent = current_traceparent(cause.traceparent)
        for draft, id in zip(drafts, ids, strict=True):
            aggregate = draft.event.aggregate(draft.namespace)
            guard = None
            if aggregate not in guarded:
                guarded.add(aggregate)
                guard = Guard(aggregate.filter, self.fold.sequence_of(aggregate))
            messages.append(
                to_message(
                    draft,
                    source=self._source,
                    cause=draft.cause or cause,
                    id=id,
                    now=now,
                    guard=guard,
                    # The present span tells the story of `cause`; a draft with a cause of its own
                    # goes on with the trace that this one came by.
                    traceparent=traceparent if draft.cause in (None, cause) else None,
                )
            )
        return messages

    async def _append(self, messages: Sequence[Message]) -> None:
        for tried in range(1, APPEND_TRIES_MAX + 1):
            try:
                appended = await self._log.append(messages)
            except Unavailable:
                if tried == APPEND_TRIES_MAX:
                    raise
                await asyncio.sleep(APPEND_PAUSE_SECONDS * 2**tried)
                continue
            self._reached = max(self._reached, appended.sequence)
            return
