"""Durable pull consumers of a simulated world.

The state of a consumer (position, unacknowledged messages with their leases and counts) belongs
to the world and survives every crash; subscriptions and deliveries belong to one incarnation.
"""

import asyncio
import random
from dataclasses import dataclass

from penstock_chassis.errors import NotFound
from penstock_chassis.ports import ConsumerSpec, Delivery, StoredMessage
from penstock_chassis.testing.simbus.incarnation import Incarnation
from penstock_chassis.testing.simbus.signal import Signal
from penstock_chassis.testing.simbus.stream import SimStream
from penstock_chassis.testing.simbus.subjects import matches


@dataclass(slots=True)
class _Unacked:
    deliveries: int
    due: float
    """The loop's time from which it may be delivered again."""
    comes_again: bool = False
    """Fault `duplicate`: the acknowledgement of this delivery will be forgotten."""


class SimConsumer:
    """One durable consumer."""

    def __init__(self, stream: SimStream, spec: ConsumerSpec, chance: random.Random) -> None:
        self.spec = spec
        self.changed = Signal()
        self.delivered_total = 0
        self._stream = stream
        self._chance = chance
        self.waiting = 0
        """How many calls wait for a delivery."""
        self._position = 0
        self._unacked: dict[int, _Unacked] = {}
        stream.on_append.append(self._appended)

    @property
    def pending(self) -> int:
        """Messages that it has not acknowledged, delivered or not."""
        return len(self._unacked) + len(self._stream.all_after(self.spec.filters, self._position))

    @property
    def attended(self) -> bool:
        """Whether somebody waits for a message, or holds one."""
        return bool(self.waiting or self._unacked)

    @property
    def idle(self) -> bool:
        """Whether everything is acknowledged."""
        return (
            not self._unacked
            and self._stream.first_after(self.spec.filters, self._position) is None
        )

    def next_due(self) -> float | None:
        """When the next redelivery falls due, in the loop's time."""
        return min((entry.due for entry in self._unacked.values()), default=None)

    def take(self, count: int, incarnation: Incarnation) -> list["SimDelivery"]:
        """Up to `count` deliveries that are due now: redeliveries first, then new messages."""
        now = asyncio.get_running_loop().time()
        due = sorted(
            (entry.due, sequence) for sequence, entry in self._unacked.items() if entry.due <= now
        )
        taken = [self._deliver(sequence, incarnation) for _, sequence in due[:count]]
        while len(taken) < count and len(self._unacked) < self.spec.in_flight_max:
            message = self._stream.first_after(self.spec.filters, self._position)
            if message is None:
                break
            self._position = message.sequence
            faults = incarnation.faults
            if incarnation.happens(faults.reorder):
                incarnation.happened("reorder")
                late_seconds = self._chance.uniform(0, faults.reorder_seconds_max)
                self._unacked[message.sequence] = _Unacked(0, now + late_seconds)
            else:
                taken.append(self._deliver(message.sequence, incarnation))
        return taken

    def settle(self, sequence: int) -> None:
        """Acknowledged or terminated: never again. A stale one counts too, as on the server."""
        entry = self._unacked.get(sequence)
        if entry is not None and not entry.comes_again:
            del self._unacked[sequence]
            self.changed.set()

    def postpone(self, sequence: int, seconds: float) -> None:
        """Deliver it again, but not before `seconds` from now."""
        entry = self._unacked.get(sequence)
        if entry is not None and not entry.comes_again:
            entry.due = asyncio.get_running_loop().time() + seconds
            self.changed.set()

    def _deliver(self, sequence: int, incarnation: Incarnation) -> "SimDelivery":
        message = self._stream.at(sequence)
        assert message is not None, "the event log never removes a message"
        now = asyncio.get_running_loop().time()
        faults = incarnation.faults
        entry = self._unacked.setdefault(sequence, _Unacked(0, now))
        entry.deliveries += 1
        entry.due = now + self.spec.lease_seconds
        entry.comes_again = False
        if incarnation.happens(faults.duplicate):
            incarnation.happened("duplicate")
            entry.due = now + self._chance.uniform(0, faults.duplicate_seconds_max)
            entry.comes_again = True
        self.delivered_total += 1
        return SimDelivery(self, message, entry.deliveries, incarnation)

    def _appended(self, message: StoredMessage) -> None:
        if any(matches(filter, message.subject) for filter in self.spec.filters):
            self.changed.set()


class SimDelivery:
    """`Delivery` of a simulated consumer."""

    def __init__(
        self, consumer: SimConsumer, message: StoredMessage, deliveries: int, owner: Incarnation
    ) -> None:
        self._consumer = consumer
        self._message = message
        self._deliveries = deliveries
        self._incarnation = owner

    @property
    def message(self) -> StoredMessage:
        """The message."""
        return self._message

    @property
    def deliveries(self) -> int:
        """How many times it was delivered, this time included."""
        return self._deliveries

    async def ack(self) -> None:
        """See `Delivery.ack`."""
        await self._incarnation.call("delivery.ack", self._settle)

    async def nak(self, delay_seconds: float) -> None:
        """See `Delivery.nak`."""
        if delay_seconds <= 0:
            raise ValueError("a negative acknowledgement carries a delay above 0 seconds")
        await self._incarnation.call("delivery.nak", lambda: self._postpone(delay_seconds))

    async def term(self) -> None:
        """See `Delivery.term`."""
        await self._incarnation.call("delivery.term", self._settle)

    async def in_progress(self) -> None:
        """See `Delivery.in_progress`."""
        lease_seconds = self._consumer.spec.lease_seconds
        await self._incarnation.call(
            "delivery.in_progress",
            lambda: self._consumer.postpone(self._message.sequence, lease_seconds),
        )

    def _settle(self) -> None:
        if not self._lost():
            self._consumer.settle(self._message.sequence)

    def _postpone(self, seconds: float) -> None:
        if not self._lost():
            self._consumer.postpone(self._message.sequence, seconds)

    def _lost(self) -> bool:
        lost = self._incarnation.happens(self._incarnation.faults.drop_ack)
        if lost:
            self._incarnation.happened("drop_ack")
        return lost


class SimSubscription:
    """`Subscription` on a simulated consumer."""

    def __init__(self, consumer: SimConsumer, incarnation: Incarnation) -> None:
        self.name = consumer.spec.name
        self._consumer = consumer
        self._incarnation = incarnation
        self.closed = False

    async def next(self, count: int) -> list[Delivery]:
        """See `Subscription.next`. Returns nothing once closed."""
        if count < 1:
            raise ValueError("ask for at least one delivery")
        return await self._incarnation.call_async("subscription.next", lambda: self._wait(count))

    async def close(self) -> None:
        """See `Subscription.close`."""
        await self._incarnation.call("subscription.close", self._close)

    def _close(self) -> None:
        self.closed = True
        self._consumer.changed.set()

    async def _wait(self, count: int) -> list[Delivery]:
        while not self.closed:
            taken = self._consumer.take(count, self._incarnation)
            if taken:
                return list(taken)
            self._consumer.waiting += 1
            try:
                await self._consumer.changed.wait(self._consumer.next_due())
            finally:
                self._consumer.waiting -= 1
        return []


class SimConsumers:
    """`Consumers` of a simulated world."""

    def __init__(
        self,
        stream: SimStream,
        existing: dict[str, SimConsumer],
        chance: random.Random,
        incarnation: Incarnation,
    ) -> None:
        self._stream = stream
        self._existing = existing
        self._chance = chance
        self._incarnation = incarnation
        self._opened: list[SimSubscription] = []

    async def open(self, spec: ConsumerSpec) -> SimSubscription:
        """See `Consumers.open`."""
        return await self._incarnation.call("consumers.open", lambda: self._open(spec))

    async def verify(self) -> None:
        """See `Consumers.verify`."""
        for name in sorted({opened.name for opened in self._opened if not opened.closed}):
            await self._find("consumers.verify", name)

    async def pending(self, name: str) -> int:
        """See `Consumers.pending`."""
        return (await self._find("consumers.pending", name)).pending

    async def attended(self, name: str) -> bool:
        """See `Consumers.attended`."""
        return (await self._find("consumers.attended", name)).attended

    async def _find(self, call: str, name: str) -> SimConsumer:
        found = await self._incarnation.call(call, lambda: self._existing.get(name))
        if found is None:
            raise NotFound(f"there is no consumer {name!r}")
        return found

    def _open(self, spec: ConsumerSpec) -> SimSubscription:
        consumer = self._existing.get(spec.name)
        if consumer is None:
            consumer = self._existing[spec.name] = SimConsumer(self._stream, spec, self._chance)
        consumer.spec = spec
        consumer.changed.set()
        subscription = SimSubscription(consumer, self._incarnation)
        self._opened.append(subscription)
        return subscription
