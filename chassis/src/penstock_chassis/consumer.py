"""The consumer loop: a sliding window over one durable consumer.

It pulls as many messages as there are free places, handles the messages of one aggregate one at
a time and different aggregates side by side, extends the lease of what takes long, and ends each
delivery by what its handler said (see `penstock_chassis.errors`):

    returned          acknowledge (the handler's append is durable by then)
    Retry             redeliver after the delay that it names
    Unavailable       redeliver with back-off, however long a server is away
    Reject            dead letter with the reason, then terminate
    anything else     redeliver with back-off; dead letter after `TRIES_MAX` such failures
    cancelled         nothing: the lease runs out and the message comes again
    the process died  likewise; dead letter after some deaths in a row (see `deaths.py`)

A dead letter is durable before its message is terminated. Failures are counted in memory, since
the bus counts deliveries of any reason: a new process begins to count anew. Nothing here knows NATS
or FastStream.
"""

import asyncio
import traceback
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

import structlog

from penstock_chassis.deaths import Deaths
from penstock_chassis.errors import ChassisError, Reject, Retry, Unavailable
from penstock_chassis.metrics import DEAD_LETTERS
from penstock_chassis.ports import DeadLetter, DeadLetters, Delivery, Subscription
from penstock_schemas import InvalidSubject, parse_subject

Dispatch = Callable[[Delivery], Awaitable[None]]

TRIES_MAX = 6
"""Failures of a message's handler before it becomes a dead letter."""
BACKOFF_FIRST_SECONDS = 0.25
BACKOFF_MAX_SECONDS = 30.0
BACKOFF_DOUBLINGS_MAX = 16
LEASE_EXTENSIONS = 3
"""How often a lease is extended before it would run out."""
DRAIN_SECONDS = 20.0
"""How long a drain waits for the messages in hand."""
TRACEBACK_LENGTH_MAX = 8192
RETRY_MIN_SECONDS = 0.01
DELIVERIES_MAX = 10_000
"""Deliveries of a message in all, before one that fails or waits for something is the last. A
server that is away is waited for however long."""
REMEMBERED_MAX = 4096
"""Messages put back that are remembered; another replica may end one, and nobody tells. Far more
than a consumer may have unacknowledged at a time, so that what is forgotten came to an end."""

log = structlog.get_logger("penstock.consumer")


def backoff_seconds(deliveries: int) -> float:
    """The delay before delivery number `deliveries + 1`: doubling, bounded."""
    doublings = min(deliveries - 1, BACKOFF_DOUBLINGS_MAX)
    return min(BACKOFF_FIRST_SECONDS * 2.0**doublings, BACKOFF_MAX_SECONDS)


@dataclass(frozen=True, slots=True)
class PutBack:
    """A message that is to come again: failed tries, and the number of its last delivery here."""

    failures: int
    deliveries: int


class ConsumerLoop:
    """Feeds the deliveries of one subscription to `dispatch`."""

    def __init__(
        self,
        service: str,
        subscription: Subscription,
        dispatch: Dispatch,
        dead_letters: DeadLetters,
        *,
        serial: Literal["aggregate", "all"] = "aggregate",
        concurrency: int = 16,
        lease_seconds: float = 30.0,
        deaths: Deaths | None = None,
    ) -> None:
        if lease_seconds <= 0 or concurrency < 1:
            raise ValueError("lease_seconds must be above 0 and concurrency at least 1")
        budget = sum(backoff_seconds(n) for n in range(1, TRIES_MAX))
        assert budget > BACKOFF_FIRST_SECONDS, "tries must be spread over some time"
        self._service = service
        self._subscription = subscription
        self._dispatch = dispatch
        self._dead_letters = dead_letters
        self._serial = serial
        self._concurrency = concurrency
        self._lease_seconds = lease_seconds
        self._queues: dict[str, deque[Delivery]] = {}
        self._workers: set[asyncio.Task[None]] = set()
        self._extender: asyncio.Task[None] | None = None
        self._deaths = deaths
        self._put_back: dict[int, PutBack] = {}
        """By sequence, the newest last."""
        self._held = 0
        self._freed = asyncio.Event()
        self._draining = False

    async def run(self) -> None:
        """Consume until cancelled or drained."""
        try:
            while not self._draining:
                free = self._concurrency - self._held
                if free <= 0:
                    self._freed.clear()
                    await self._freed.wait()
                    continue
                for delivery in await self._subscription.next(free):
                    self._accept(delivery)
        finally:
            if not self._draining:
                await self._stop_workers()
                await self._subscription.close()

    async def drain(self) -> None:
        """Stop pulling and wait for the messages in hand, at most `DRAIN_SECONDS`."""
        self._draining = True
        await self._subscription.close()
        if self._workers:
            await asyncio.wait(self._workers, timeout=DRAIN_SECONDS)
        await self._stop_workers()

    async def _stop_workers(self) -> None:
        tasks = list(self._workers)
        if self._extender is not None:
            tasks.append(self._extender)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self, delivery: Delivery) -> None:
        self._held += 1
        key = self._key(delivery)
        queue = self._queues.get(key)
        if queue is not None:
            queue.append(delivery)
            return
        self._queues[key] = queue = deque([delivery])
        worker = asyncio.create_task(self._work(key, queue))
        self._workers.add(worker)
        worker.add_done_callback(self._workers.discard)
        if self._extender is None:
            self._extender = asyncio.create_task(self._extend())

    def _key(self, delivery: Delivery) -> str:
        if self._serial == "all":
            return ""
        try:
            return str(parse_subject(delivery.message.subject).aggregate)
        except InvalidSubject:
            return delivery.message.subject

    async def _work(self, key: str, queue: deque[Delivery]) -> None:
        try:
            while queue:
                await self._handle(queue[0])
                queue.popleft()
                self._held -= 1
                self._freed.set()
        finally:
            self._held -= len(queue)
            del self._queues[key]
            self._freed.set()

    async def _extend(self) -> None:
        """One task for all, and only while there is work: a task each cost more than the rest
        of the loop. A delivery waits at most one interval for its first extension."""
        try:
            while self._queues:
                await asyncio.sleep(self._lease_seconds / LEASE_EXTENSIONS)
                for delivery in [held for queue in self._queues.values() for held in queue]:
                    await self._end(delivery.in_progress())
        finally:
            self._extender = None

    async def _handle(self, delivery: Delivery) -> None:
        try:
            async with self._recorded(delivery):
                await self._dispatch(delivery)
        except Retry as retry:
            if delivery.deliveries >= DELIVERIES_MAX:
                await self._bury(delivery, f"gave up waiting: {retry}", "")
            else:
                await self._again(delivery, retry.after_seconds)
        except Unavailable as error:
            log.warning("a server is away", service=self._service, error=str(error))
            await self._again(delivery, backoff_seconds(delivery.deliveries))
        except Reject as reject:
            await self._bury(delivery, str(reject), "")
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is a failed try
            await self._failed(delivery, error)
        else:
            self._put_back.pop(delivery.message.sequence, None)
            await self._end(delivery.ack())

    def _recorded(self, delivery: Delivery) -> AbstractAsyncContextManager[None]:
        """A record of the handling, where it is not known how the last one ended."""
        last = self._put_back.get(delivery.message.sequence)
        known = delivery.deliveries == (last.deliveries + 1 if last is not None else 1)
        if known or self._deaths is None:
            return nullcontext()
        return self._deaths.recorded(delivery.message.sequence)

    def _failures(self, delivery: Delivery) -> int:
        last = self._put_back.get(delivery.message.sequence)
        return last.failures if last is not None else 0

    async def _again(self, delivery: Delivery, after_seconds: float, *, failed: int = 0) -> None:
        sequence = delivery.message.sequence
        put_back = PutBack(self._failures(delivery) + failed, delivery.deliveries)
        self._put_back.pop(sequence, None)
        self._put_back[sequence] = put_back
        if len(self._put_back) > REMEMBERED_MAX:
            del self._put_back[next(iter(self._put_back))]
        await self._end(delivery.nak(max(after_seconds, RETRY_MIN_SECONDS)))

    async def _end(self, ending: Awaitable[None]) -> None:
        """Say how a delivery ended. Where that is lost, the message merely comes again."""
        try:
            await ending
        except ChassisError as error:
            log.warning("acknowledgement lost", service=self._service, error=repr(error))

    async def _failed(self, delivery: Delivery, error: Exception) -> None:
        trace = "".join(traceback.format_exception(error))[-TRACEBACK_LENGTH_MAX:]
        failures = self._failures(delivery) + 1
        last = failures >= TRIES_MAX or delivery.deliveries >= DELIVERIES_MAX
        log.error(
            "handler failed",
            service=self._service,
            subject=delivery.message.subject,
            sequence=delivery.message.sequence,
            deliveries=delivery.deliveries,
            failures=failures,
            last_try=last,
            error=repr(error),
            traceback=trace if failures == 1 or last else None,
        )
        if last:
            await self._bury(delivery, f"failed {failures} times: {error!r}", trace)
        else:
            await self._again(delivery, backoff_seconds(failures), failed=1)

    async def _bury(self, delivery: Delivery, reason: str, trace: str) -> None:
        message = delivery.message
        try:
            await self._dead_letters.put(
                DeadLetter(
                    self._service,
                    message.subject,
                    message.sequence,
                    reason,
                    delivery.deliveries,
                    trace,
                    message.payload,
                    dict(message.headers),
                )
            )
        except Exception as error:
            log.exception("dead letter not stored", sequence=message.sequence, error=repr(error))
            await self._end(delivery.nak(BACKOFF_MAX_SECONDS))
            return
        self._put_back.pop(message.sequence, None)
        DEAD_LETTERS.labels(self._service).inc()
        await self._end(delivery.term())
