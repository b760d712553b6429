"""The contract of deliveries that are not acknowledged: leases, delays, endings."""
# ruff: noqa: D102 - the name of a test is its sentence

from dataclasses import replace

from penstock_chassis.ports import Ports
from penstock_chassis.testing.contracts.deliveries import (
    LEASE_OVER_SECONDS,
    LEASE_SECONDS,
    nothing_comes,
    now,
    spec,
    take,
    take_all,
)
from penstock_chassis.testing.contracts.suite import Suite, aggregates, event

EARLY_SECONDS = 0.1
"""How much sooner than promised a real server may seem to be, its clock being another."""


class RedeliveryContract(Suite):
    """What comes again, when, and what does not."""

    async def test_a_message_comes_again_when_its_lease_runs_out(
        self, ports: Ports, ns: str
    ) -> None:
        await ports.log.append([event(ns, "a")])
        subscription = await ports.consumers.open(spec(ns))
        (first,) = await take(subscription, 1)
        began = now()
        (second,) = await take(subscription, 1)
        assert now() - began >= LEASE_SECONDS - EARLY_SECONDS
        assert second.message.sequence == first.message.sequence
        assert (first.deliveries, second.deliveries) == (1, 2)
        await second.ack()
        assert await nothing_comes(subscription, LEASE_OVER_SECONDS)
        await subscription.close()

    async def test_a_late_acknowledgement_counts(self, ports: Ports, ns: str) -> None:
        await ports.log.append([event(ns, "a")])
        subscription = await ports.consumers.open(spec(ns))
        (first,) = await take(subscription, 1)
        await take(subscription, 1)
        await first.ack()
        assert await nothing_comes(subscription, LEASE_OVER_SECONDS)
        await subscription.close()

    async def test_a_negative_acknowledgement_brings_it_again_after_its_delay(
        self, ports: Ports, ns: str
    ) -> None:
        await ports.log.append([event(ns, "a")])
        subscription = await ports.consumers.open(spec(ns, lease_seconds=30.0))
        (first,) = await take(subscription, 1)
        began = now()
        await first.nak(0.5)
        (second,) = await take(subscription, 1)
        assert 0.5 - EARLY_SECONDS <= now() - began < 5.0
        assert second.deliveries == 2
        await second.ack()
        await subscription.close()

    async def test_a_delayed_message_holds_up_no_other(self, ports: Ports, ns: str) -> None:
        await ports.log.append([event(ns, "a")])
        subscription = await ports.consumers.open(spec(ns, lease_seconds=30.0))
        (first,) = await take(subscription, 1)
        await first.nak(1.0)
        await ports.log.append([event(ns, "b")])
        assert aggregates(await take_all(subscription, 2)) == ["b", "a"]
        await subscription.close()

    async def test_a_terminated_message_never_comes_again(self, ports: Ports, ns: str) -> None:
        await ports.log.append([event(ns, "a")])
        subscription = await ports.consumers.open(spec(ns))
        (first,) = await take(subscription, 1)
        await first.term()
        assert await nothing_comes(subscription, LEASE_OVER_SECONDS)
        assert await ports.consumers.pending(ns) == 0
        await subscription.close()

    async def test_a_lease_can_be_started_anew(self, ports: Ports, ns: str) -> None:
        await ports.log.append([event(ns, "a")])
        subscription = await ports.consumers.open(spec(ns))
        (first,) = await take(subscription, 1)
        for _ in range(4):
            assert await nothing_comes(subscription, LEASE_SECONDS / 2)
            await first.in_progress()
        began = now()
        (second,) = await take(subscription, 1)
        assert now() - began >= LEASE_SECONDS - EARLY_SECONDS
        assert second.deliveries == 2
        await second.ack()
        await subscription.close()

    async def test_what_another_holds_comes_only_after_its_lease(
        self, ports: Ports, ns: str
    ) -> None:
        await ports.log.append([event(ns, "a")])
        first = await ports.consumers.open(spec(ns))
        await take(first, 1)
        began = now()
        await first.close()
        second = await ports.consumers.open(spec(ns))
        (again,) = await take(second, 1)
        assert now() - began >= LEASE_SECONDS - EARLY_SECONDS
        assert again.deliveries == 2
        await again.ack()
        await second.close()

    async def test_what_comes_again_comes_before_what_is_new(self, ports: Ports, ns: str) -> None:
        await ports.log.append([event(ns, "old")])
        subscription = await ports.consumers.open(spec(ns))
        longer = await ports.consumers.open(
            replace(spec(ns), name=f"{ns}b", lease_seconds=LEASE_OVER_SECONDS)
        )
        await take(subscription, 1)
        for _ in range(2):  # when it comes again by the longer lease, the other is over
            await take(longer, 1)
        await ports.log.append([event(ns, "new")])
        assert aggregates(await take_all(subscription, 2)) == ["old", "new"]
        for opened in (subscription, longer):
            await opened.close()

    async def test_deliveries_are_counted_for_each_message(self, ports: Ports, ns: str) -> None:
        await ports.log.append([event(ns, "a")])
        await ports.log.append([event(ns, "b")])
        subscription = await ports.consumers.open(spec(ns, lease_seconds=30.0))
        a, b = await take(subscription, 2)
        await b.ack()
        counts = [a.deliveries]
        for _ in range(3):
            await a.nak(0.05)
            (a,) = await take(subscription, 1)
            counts.append(a.deliveries)
        assert counts == [1, 2, 3, 4]
        assert aggregates([a.message.subject]) == ["a"]
        await a.ack()
        await subscription.close()
