"""The consumer loop: leases of long work."""

import asyncio
from dataclasses import replace

from penstock_chassis.consumer import LEASE_EXTENSIONS, ConsumerLoop
from penstock_chassis.ports import ConsumerSpec, Delivery
from penstock_chassis.testing import SimWorld, run
from penstock_chassis.testing.contracts.suite import events

LEASE_SECONDS = 30.0
WORK_SECONDS = 10 * LEASE_SECONDS
AGGREGATES = 3


async def _handled(arrivals_seconds: float) -> list[tuple[str, int]]:
    """Subject and delivery of each call of a handler that works ten leases long."""
    ports = SimWorld(seed=1).ports()
    calls: list[tuple[str, int]] = []
    done = asyncio.Event()

    async def work(delivery: Delivery) -> None:
        calls.append((delivery.message.subject, delivery.deliveries))
        await asyncio.sleep(WORK_SECONDS)
        if len(calls) == 2 * AGGREGATES:
            done.set()

    spec = ConsumerSpec("worker", ("penstock.>",), LEASE_SECONDS)
    subscription = await ports.consumers.open(spec)
    loop = ConsumerLoop(
        "worker", subscription, work, ports.dead_letters, lease_seconds=LEASE_SECONDS
    )
    running = asyncio.create_task(loop.run())
    for message in events("team", AGGREGATES):
        await ports.log.append([message])
        second = message.subject.replace("requested", "changed")
        await ports.log.append([replace(message, subject=second, id=f"{message.id}:2")])
        await asyncio.sleep(arrivals_seconds)
    await done.wait()
    await loop.drain()
    await running
    return calls


def test_the_leases_of_what_works_and_of_what_waits_behind_it_are_extended() -> None:
    calls = run(_handled(arrivals_seconds=LEASE_SECONDS / LEASE_EXTENSIONS / 2), seed=1)
    assert len(set(calls)) == len(calls) == 2 * AGGREGATES
    assert {deliveries for _, deliveries in calls} == {1}


def test_leases_are_extended_again_after_a_time_without_work() -> None:
    calls = run(_handled(arrivals_seconds=2 * WORK_SECONDS + LEASE_SECONDS), seed=1)
    assert {deliveries for _, deliveries in calls} == {1}
    assert len(calls) == 2 * AGGREGATES
