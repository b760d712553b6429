"""The contract of durable consumers: position, filters, sharing, limits."""
# ruff: noqa: D102 - the name of a test is its sentence

import asyncio

import pytest

from penstock_chassis.errors import NotFound
from penstock_chassis.ports import ConsumerSpec, Ports
from penstock_chassis.testing.contracts.deliveries import (
    LEASE_OVER_SECONDS,
    LEASE_SECONDS,
    QUIET_SECONDS,
    eventually,
    nothing_comes,
    spec,
    take,
    take_all,
)
from penstock_chassis.testing.contracts.suite import Suite, aggregates, event, events


class ConsumersContract(Suite):
    """Durable consumers as they work where nothing goes wrong."""

    async def test_a_new_consumer_begins_at_the_beginning_and_goes_in_order(
        self, ports: Ports, ns: str
    ) -> None:
        await ports.log.append(events(ns, 5))
        subscription = await ports.consumers.open(spec(ns))
        taken = await take(subscription, 5)
        assert aggregates([item.message.subject for item in taken]) == [
            f"a{number}" for number in range(5)
        ]
        assert [item.deliveries for item in taken] == [1] * 5
        await subscription.close()

    async def test_next_waits_for_a_message_to_come(self, ports: Ports, ns: str) -> None:
        subscription = await ports.consumers.open(spec(ns))
        waiting = asyncio.create_task(take(subscription, 1))
        await eventually(lambda: ports.consumers.attended(ns))
        assert not waiting.done()
        appended = await ports.log.append([event(ns, "a", payload=b"{}")])
        (delivery,) = await waiting
        assert delivery.message.sequence == appended.sequence
        assert delivery.message.payload == b"{}"
        await subscription.close()

    async def test_next_gives_no_more_than_was_asked_for(self, ports: Ports, ns: str) -> None:
        await ports.log.append(events(ns, 5))
        subscription = await ports.consumers.open(spec(ns))
        sizes = [len(await subscription.next(2)) for _ in range(2)]
        assert all(1 <= size <= 2 for size in sizes)
        await subscription.close()

    async def test_a_consumer_gets_what_matches_any_of_its_filters(
        self, ports: Ports, ns: str
    ) -> None:
        for verb in ("requested", "started", "succeeded", "placed", "failed", "resumed"):
            await ports.log.append([event(ns, "a", verb)])
        filters = tuple(
            f"penstock.{ns}.thing.{verb}.>" for verb in ("resumed", "started", "placed")
        )
        subscription = await ports.consumers.open(ConsumerSpec(ns, filters, LEASE_SECONDS))
        taken = await take_all(subscription, 3)
        assert [subject.split(".")[3] for subject in taken] == ["started", "placed", "resumed"]
        await subscription.close()

    async def test_what_was_acknowledged_never_comes_again(self, ports: Ports, ns: str) -> None:
        await ports.log.append(events(ns, 3))
        subscription = await ports.consumers.open(spec(ns))
        await take_all(subscription, 3)
        assert await nothing_comes(subscription, LEASE_OVER_SECONDS)
        await subscription.close()

    async def test_an_opened_again_consumer_goes_on_where_it_was(
        self, ports: Ports, ns: str
    ) -> None:
        await ports.log.append(events(ns, 2))
        first = await ports.consumers.open(spec(ns))
        await take_all(first, 2)
        await first.close()
        await ports.log.append([event(ns, "later")])
        second = await ports.consumers.open(spec(ns, lease_seconds=2 * LEASE_SECONDS))
        assert aggregates(await take_all(second, 1)) == ["later"]
        assert await nothing_comes(second, QUIET_SECONDS)
        await second.close()

    async def test_two_subscriptions_share_the_messages(self, ports: Ports, ns: str) -> None:
        first = await ports.consumers.open(spec(ns, lease_seconds=30.0))
        second = await ports.consumers.open(spec(ns, lease_seconds=30.0))
        await ports.log.append(events(ns, 20))
        found: list[str] = []
        while len(found) < 20:
            for subscription in (first, second):
                if len(found) < 20:
                    found += await take_all(subscription, 1)
        assert sorted(aggregates(found)) == sorted(f"a{number}" for number in range(20))
        for subscription in (first, second):
            await subscription.close()

    async def test_no_more_than_the_limit_are_in_flight(self, ports: Ports, ns: str) -> None:
        await ports.log.append(events(ns, 5))
        subscription = await ports.consumers.open(spec(ns, lease_seconds=30.0, in_flight_max=2))
        held = await take(subscription, 2)
        assert await nothing_comes(subscription, QUIET_SECONDS)
        await held[0].ack()
        (third,) = await take(subscription, 1)
        assert aggregates([third.message.subject]) == ["a2"]
        await subscription.close()

    async def test_pending_counts_what_is_not_acknowledged(self, ports: Ports, ns: str) -> None:
        await ports.log.append(events(ns, 3))
        subscription = await ports.consumers.open(spec(ns, lease_seconds=30.0))
        assert await ports.consumers.pending(ns) == 3
        first, _ = await take(subscription, 2)
        assert await ports.consumers.pending(ns) == 3
        await first.ack()

        async def two_are_left() -> bool:
            return await ports.consumers.pending(ns) == 2

        await eventually(two_are_left)  # acknowledgements are not answered
        await subscription.close()

    async def test_an_unknown_consumer_is_not_found(self, ports: Ports, ns: str) -> None:
        with pytest.raises(NotFound):
            await ports.consumers.pending(ns)
        with pytest.raises(NotFound):
            await ports.consumers.attended(ns)

    async def test_the_consumers_that_are_open_are_verified_to_be_there(
        self, ports: Ports, ns: str
    ) -> None:
        await ports.consumers.verify()
        first = await ports.consumers.open(spec(ns))
        second = await ports.consumers.open(spec(f"{ns}b"))
        await ports.consumers.verify()
        await first.close()
        await second.close()
        await ports.consumers.verify()

    async def test_a_consumer_is_attended_while_somebody_waits_or_holds_a_message(
        self, ports: Ports, ns: str
    ) -> None:
        subscription = await ports.consumers.open(spec(ns, lease_seconds=30.0))
        assert not await ports.consumers.attended(ns)
        waiting = asyncio.create_task(subscription.next(1))
        await eventually(lambda: ports.consumers.attended(ns))
        await ports.log.append(events(ns, 1))
        (held,) = await waiting
        assert await ports.consumers.attended(ns)
        await held.ack()
        await subscription.close()

        async def left_alone() -> bool:
            return not await ports.consumers.attended(ns)

        await eventually(left_alone)

    async def test_a_closed_subscription_ends_its_waiting_call(self, ports: Ports, ns: str) -> None:
        subscription = await ports.consumers.open(spec(ns))
        waiting = asyncio.create_task(subscription.next(1))
        await eventually(lambda: ports.consumers.attended(ns))
        await subscription.close()
        async with asyncio.timeout(5.0):
            assert await waiting == []
        await ports.log.append([event(ns, "a")])
        again = await ports.consumers.open(spec(ns))
        assert aggregates(await take_all(again, 1)) == ["a"]
        await again.close()
