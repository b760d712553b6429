"""The courier of one subscription: reads the log, tries what is due, keeps the outbox.

Guarantees: every matching event after the subscription began is posted at least once, until the
receiver takes it or the outbox's rules give up. What is in hand is kept every `SAVE_SECONDS`; a
process that dies in between repeats what it did since, under the same delivery ids. It never
skips: the position moves past an event only together with the event's place in the outbox.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, cast

import structlog

from penstock_chassis.decider import Decider
from penstock_chassis.errors import ChassisError, NotFound
from penstock_chassis.message import Cause, Recorded, read_recorded
from penstock_chassis.ports import Ports, StoredMessage
from penstock_gateway.domain.outbox import UNTRIED_MAX, Entry, Outbox, Replay, Verdict
from penstock_gateway.domain.outgoing import (
    body_of,
    delivery_id,
    filters_of,
    matches,
    signed_headers,
    signing_keys,
)
from penstock_gateway.domain.subscriptions import (
    Key,
    Live,
    SubscriptionBook,
    decide_disabled,
    decide_undelivered,
)
from penstock_gateway.ports import Answer, WebhookSender
from penstock_gateway.supervisor.journal import Outcome, record
from penstock_gateway.supervisor.shelf import Shelf
from penstock_schemas import InvalidSubject, SchemaError, parse_subject

CONCURRENCY = 8
"""Deliveries of one subscription on their way at a time."""
SAVE_SECONDS = 0.25
PASSED_MAX = 1000
"""Events that are not for this subscription, after which the position is kept all the same."""
HOLD_SECONDS = 2.0
"""How long a reader is held open while the outbox is full."""
PUT_BACK_SECONDS = 5.0
"""The pause after a try that failed on our side, seconds."""
GONE = 410

log = structlog.get_logger("penstock.gateway")

Values = Callable[[str, Sequence[str]], Awaitable[list[str]]]
"""The values of secrets of a namespace."""


@dataclass(frozen=True)
class Tools:
    """What couriers work with."""

    ports: Ports
    desk: Decider[SubscriptionBook]
    sender: WebhookSender
    values: Values
    chance: Callable[[], float]
    """Draws from 0 to 1."""
    give_up_seconds: float


class Courier:
    """See the module. `run` returns once the subscription is over or has changed."""

    def __init__(self, tools: Tools, key: Key, live: Live, shelf: Shelf) -> None:
        self._tools = tools
        self._key = key
        self._live = live
        self._changed_at = live.changed
        self._spec = live.spec
        self._shelf = shelf
        self._outbox = Outbox(live.epoch, live.epoch)
        self._stopping = False
        self._news = asyncio.Event()
        self._space = asyncio.Event()
        self._asked = asyncio.Event()
        self._dirty = asyncio.Event()
        self._ahead: dict[int, StoredMessage] = {}
        """What was read and not tried yet; the rest is read again when it is tried."""
        self._tries: set[asyncio.Task[None]] = set()

    def notice(self) -> None:
        """The book changed."""
        live = self._tools.desk.fold.state.live.get(self._key)
        if live is not self._live or live.changed != self._changed_at:
            self._stopping = True
        else:
            self._take_replays()
        self._news.set()

    async def run(self) -> None:
        """Work until `notice` finds a change. Raises `Conflict` where another gateway works on
        the same subscription, and `Unavailable`."""
        kept = await self._shelf.load()
        if kept is not None and kept.epoch == self._live.epoch:
            self._outbox = kept
        self.notice()
        works = [] if self._spec.paused else [self._read(), self._replay()]
        tasks = [asyncio.create_task(work) for work in (*works, self._save(), self._pump())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            if self._tries:
                await asyncio.wait(self._tries)  # each is bounded by the sender
        finally:
            await _end([*tasks, *self._tries])
            with suppress(ChassisError):
                await self._keep()

    async def _keep(self) -> None:
        """The last word: what is in hand, or nothing where the subscription is over."""
        if self._tools.desk.fold.state.live.get(self._key) is self._live:
            await self._shelf.save(self._outbox)
        else:
            await self._shelf.clear()

    # Reading.

    async def _read(self) -> None:
        """Take in what matches, as far as there is room; for ever."""
        passed = 0
        while True:
            await self._for_room()
            filters = filters_of(self._key[0], self._spec.types)
            following = self._tools.ports.log.follow(filters, after=self._outbox.position)
            async with _closing(following) as messages:
                async for stored in messages:
                    if self._is_wanted(stored):
                        self._outbox.take(stored.sequence, _about(stored))
                        self._took(stored)
                    else:
                        self._outbox.pass_over(stored.sequence)
                        passed += 1
                        if passed % PASSED_MAX == 0:
                            self._dirty.set()
                    if not await self._has_room():
                        break  # an open reader that is not read costs memory

    async def _replay(self) -> None:
        """Take in what is to be sent again, one stretch after the other; for ever."""
        while True:
            self._asked.clear()
            if not self._outbox.replays:
                await self._asked.wait()
                continue
            replay = self._outbox.replays[0]
            if await self._replayed(replay):
                with suppress(ValueError):  # it gave way to newer ones meanwhile
                    self._outbox.replays.remove(replay)
                self._touched()

    async def _replayed(self, replay: Replay) -> bool:
        """Read a stretch; whether it is at its end."""
        events = self._tools.ports.log
        await self._for_room()
        filters = filters_of(self._key[0], self._spec.types)
        end = min(replay.until, await events.head(filters))
        since = None if replay.since is None else datetime.fromtimestamp(replay.since, UTC)
        if end <= replay.after or await self._is_before(end, since):
            return True
        async with _closing(events.follow(filters, after=replay.after, since=since)) as messages:
            async for stored in messages:
                if stored.sequence > replay.until:
                    return True
                if stored.sequence > replay.after and self._is_wanted(stored):
                    self._outbox.take_again(replay, stored.sequence, _about(stored))
                    self._took(stored)
                if stored.sequence >= end:
                    return True
                if not await self._has_room():
                    return False
        return True

    async def _is_before(self, sequence: int, since: datetime | None) -> bool:
        """Whether what stands there, or next below, is older than asked for."""
        if since is None:
            return False
        try:
            return (await self._tools.ports.log.get(sequence)).time < since
        except NotFound:
            return False

    def _is_wanted(self, stored: StoredMessage) -> bool:
        try:
            subject = parse_subject(stored.subject)
            if not matches(self._spec.types, subject.type):
                return False
            if (subject.noun, subject.id) == ("subscription", self._key[1]):
                return False  # what we say of it would feed it
            read_recorded(stored, subject)
        except SchemaError:
            return False  # nobody can read it; the dead letters have it
        return True

    def _took(self, stored: StoredMessage) -> None:
        if len(self._ahead) < UNTRIED_MAX:
            self._ahead[stored.sequence] = stored
        self._touched()

    async def _has_room(self) -> bool:
        if self._outbox.room:
            return True
        with suppress(TimeoutError):
            async with asyncio.timeout(HOLD_SECONDS):
                await self._for_room()
                return True
        return False

    async def _for_room(self) -> None:
        while not self._outbox.room:
            self._space.clear()
            await self._space.wait()

    def _take_replays(self) -> None:
        for number, event in self._live.replays:
            since = event.since.timestamp() if event.since else None
            self._outbox.ask_replay(Replay(number, event.after, event.until, since))
        self._asked.set()
        self._touched()

    def _touched(self) -> None:
        """The outbox changed: it is to be kept, and there may be something to do."""
        self._dirty.set()
        self._news.set()
        self._space.set()

    # Keeping.

    async def _save(self) -> None:
        """Keep the outbox some time after each change; for ever."""
        while True:
            await self._dirty.wait()
            await asyncio.sleep(SAVE_SECONDS)
            self._dirty.clear()
            await self._shelf.save(self._outbox)

    # Sending.

    async def _pump(self) -> None:
        """Start what is due, until the subscription is over or has changed."""
        ordered = self._spec.ordered
        while not self._stopping:
            self._news.clear()
            wait_seconds = None
            if not self._spec.paused:
                now = self._now()
                for entry in self._outbox.start(now, ordered, CONCURRENCY):
                    self._start(self._try(entry))
                wait_seconds = self._outbox.wait_seconds(now, ordered)
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_seconds):
                    await self._news.wait()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tries.add(task)
        task.add_done_callback(self._tries.discard)

    async def _try(self, entry: Entry) -> None:
        """Try an event once."""
        try:
            stored = self._ahead.pop(entry.sequence, None)
            recorded = read_recorded(stored or await self._tools.ports.log.get(entry.sequence))
            answer = await self._post(recorded)
            await self._settle(entry, recorded, answer)
        except (NotFound, SchemaError, InvalidSubject) as error:
            log.warning("cannot be sent", sequence=entry.sequence, error=repr(error))
            self._outbox.drop(entry.sequence)
        except ChassisError as error:  # ours, not the receiver's: it does not count
            log.warning("delivery waits", sequence=entry.sequence, error=str(error))
            entry.in_flight, entry.due_at = False, self._now() + PUT_BACK_SECONDS
        finally:
            self._touched()

    async def _post(self, recorded: Recorded) -> Answer:
        namespace, name = self._key
        keys = signing_keys(await self._tools.values(namespace, [self._spec.secret]))
        if not keys:
            return Answer(0, f"secret {self._spec.secret!r} has no value whsec_<base64>: not sent")
        id, body = delivery_id(namespace, name, recorded.id), body_of(recorded)
        now = self._tools.ports.clock.now()
        headers = signed_headers(id, body, keys, self._spec.headers, now)
        return await self._tools.sender.post(self._spec.url, headers, body)

    async def _settle(self, entry: Entry, recorded: Recorded, answer: Answer) -> None:
        attempt = entry.attempts + 1
        outcome: Outcome = "delivered"
        next_try_at: float | None = None
        if answer.taken:
            self._outbox.delivered(entry.sequence)
            self._touched()
        else:
            verdict = self._outbox.failed(
                entry.sequence,
                self._now(),
                self._tools.chance(),
                gone=answer.status == GONE,
                retry_after=answer.retry_after_seconds,
                give_up_seconds=self._tools.give_up_seconds,
            )
            outcome, next_try_at = await self._judge(verdict, entry, recorded, answer)
        await record(
            self._tools.ports.telemetry,
            self._key[1],
            delivery_id(*self._key, recorded.id),
            recorded,
            attempt,
            answer,
            outcome,
            next_try_at,
            self._tools.ports.clock.now(),
        )

    async def _judge(
        self, verdict: Verdict, entry: Entry, recorded: Recorded, answer: Answer
    ) -> tuple[Outcome, float | None]:
        """Do what the outbox says about a failure."""
        if verdict == "disable":
            await self._disable(answer)
            return "disabled", None
        if verdict == "give-up":
            rule = partial(
                decide_undelivered,
                key=self._key,
                recorded=recorded,
                attempts=entry.attempts,
                reason=answer.error,
            )
            await self._tools.desk.decide(recorded.cause, rule)
            self._outbox.drop(entry.sequence)
            return "given-up", None
        return "failed", self._outbox.next_try_at(entry.sequence)

    async def _disable(self, answer: Answer) -> None:
        reason = f"the receiver says that it is gone ({answer.error})"
        if answer.status != GONE:
            since = datetime.fromtimestamp(self._outbox.failing_since or 0, UTC)
            at = since.isoformat(timespec="seconds").replace("+00:00", "Z")
            reason = f"no delivery was taken since {at}; the last answer: {answer.error}"
        rule = partial(
            decide_disabled,
            key=self._key,
            epoch=self._live.epoch,
            reason=reason,
            after=self._outbox.done_up_to,
        )
        request = self._spec.request
        await self._tools.desk.decide(Cause(request, self._key[0], request), rule)
        log.warning("subscription disabled", subscription=self._key[1], reason=reason)

    def _now(self) -> float:
        return self._tools.ports.clock.now().timestamp()


def _about(stored: StoredMessage) -> str:
    subject = parse_subject(stored.subject)
    return f"{subject.noun}.{subject.id}"


def _closing(following: Any) -> "aclosing[AsyncGenerator[StoredMessage, None]]":
    return aclosing(cast("AsyncGenerator[StoredMessage, None]", following))


async def _end(tasks: Sequence["asyncio.Task[None]"]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
