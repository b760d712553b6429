"""The consumer loop: leases of long work."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from penstock_chassis.consumer import LEASE_EXTENSIONS, TRIES_MAX, ConsumerLoop
from penstock_chassis.errors import Retry, Unavailable
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


async def _ends(work: Callable[[int], None]) -> tuple[bool, list[str]]:
    """Whether a message was acknowledged within ten minutes, and the reasons of dead letters.

    `work` gets the number of the call, from 1.
    """
    ports = SimWorld(seed=1).ports()
    calls = 0

    async def handle(_: Delivery) -> None:
        nonlocal calls
        calls += 1
        work(calls)

    subscription = await ports.consumers.open(ConsumerSpec("worker", ("penstock.>",), 30.0))
    loop = ConsumerLoop("worker", subscription, handle, ports.dead_letters, lease_seconds=30.0)
    running = asyncio.create_task(loop.run())
    await ports.log.append(events("team", 1))
    await asyncio.sleep(600)  # virtual
    letters = [letter.reason for letter in await ports.dead_letters.list()]
    handled = await ports.consumers.pending("worker") == 0 and not letters
    await loop.drain()
    await running
    return handled, letters


def _raising(error: Exception, calls: range) -> Callable[[int], None]:
    def work(number: int) -> None:
        if number in calls:
            raise error

    return work


def test_a_server_that_is_away_for_minutes_buries_nothing() -> None:
    assert run(_ends(_raising(Unavailable("refused"), range(1, 15))), seed=1) == (True, [])


def test_waiting_does_not_count_as_failing() -> None:
    waits, fails = (
        _raising(Retry(1.0, "not yet"), range(1, 10)),
        _raising(ValueError(), range(10, 14)),
    )
    handled, letters = run(_ends(lambda n: (waits(n), fails(n))[0]), seed=1)
    assert (handled, letters) == (True, [])


def test_what_keeps_failing_is_buried_after_the_last_try() -> None:
    handled, (reason,) = run(_ends(_raising(ValueError("no"), range(1, 100))), seed=1)
    assert not handled
    assert reason == f"failed {TRIES_MAX} times: ValueError('no')"
