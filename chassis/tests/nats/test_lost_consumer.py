"""A durable consumer that somebody deletes: noticed, made again, and no message is left out."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from nats.aio.client import Client

from penstock_chassis.adapters.nats.connection import call, connect_client
from penstock_chassis.adapters.nats.ports import ports_on
from penstock_chassis.adapters.nats.streams import EVENTS, ensure_streams
from penstock_chassis.consumer import ConsumerLoop
from penstock_chassis.embedded import DataDir, EmbeddedNats
from penstock_chassis.errors import NotFound, Retry
from penstock_chassis.ports import ConsumerSpec, Delivery, Ports
from penstock_chassis.settings import PlatformSettings
from penstock_chassis.testing import SimWorld
from penstock_chassis.testing.contracts.deliveries import eventually, take, take_all
from penstock_chassis.testing.contracts.suite import aggregates, event, events

pytestmark = pytest.mark.e2e

NAME = "worker"
SPEC = ConsumerSpec(NAME, ("penstock.team.>",), lease_seconds=30.0, in_flight_max=64)
MESSAGES = 400
DELETIONS = 3
SOON_SECONDS = 30.0
IN_HAND = tuple(f"penstock.team.thing.requested.p{part}n1" for part in range(DELETIONS))
"""Messages whose handling ends only after the deletion of their part."""


@dataclass
class Bus:
    """A server with the streams, a connection, and the ports of a service on it."""

    url: str
    client: Client
    ports: Ports

    async def delete(self) -> None:
        """Delete the consumer as an operator would."""
        await call(self.client, f"CONSUMER.DELETE.{EVENTS}.{NAME}")

    async def floor(self) -> int:
        """What the server says that the consumer has acknowledged."""
        info = await call(self.client, f"CONSUMER.INFO.{EVENTS}.{NAME}")
        return int(info["ack_floor"]["stream_seq"])


@pytest.fixture
async def bus() -> AsyncIterator[Bus]:
    with DataDir.ephemeral() as directory:
        async with EmbeddedNats(directory) as server:
            settings = PlatformSettings().model_copy(update={"nats_url": server.url})
            client = await connect_client(server.url, "test")
            await ensure_streams(client, settings)
            yield Bus(
                server.url, client, ports_on(client, settings, SimWorld(seed=1).ports().objects)
            )
            await client.close()


async def test_every_message_is_handled_when_the_consumer_is_deleted_under_load(bus: Bus) -> None:
    handled: Counter[str] = Counter()
    put_off: set[str] = set()
    progress = asyncio.Event()
    deleted = [asyncio.Event() for _ in IN_HAND]

    async def handle(delivery: Delivery) -> None:
        subject = delivery.message.subject
        if delivery.message.sequence % 10 == 0 and subject not in put_off:
            put_off.add(subject)
            raise Retry(0.5, "its turn comes later")
        if subject in IN_HAND:
            await deleted[IN_HAND.index(subject)].wait()
        handled[subject] += 1
        progress.set()

    subscription = await bus.ports.consumers.open(SPEC)
    loop = ConsumerLoop(NAME, subscription, handle, bus.ports.dead_letters)
    running = asyncio.create_task(loop.run())

    async def reached(count: int) -> None:
        while len(handled) < count:
            progress.clear()
            await progress.wait()

    async with asyncio.timeout(SOON_SECONDS):
        for part in range(DELETIONS):
            for number in range(MESSAGES):
                await bus.ports.log.append([event("team", f"p{part}n{number}")])
                if number == MESSAGES // 2:
                    await reached(part * MESSAGES + MESSAGES // 4)
                    await bus.delete()
                    deleted[part].set()
        await reached(DELETIONS * MESSAGES)
    await bus.ports.consumers.verify()
    await loop.drain()
    await running
    assert set(handled) == {
        f"penstock.team.thing.requested.p{part}n{number}"
        for part in range(DELETIONS)
        for number in range(MESSAGES)
    }


async def test_a_deleted_consumer_fails_verification_until_somebody_pulls_again(bus: Bus) -> None:
    subscription = await bus.ports.consumers.open(SPEC)
    await bus.ports.consumers.verify()
    await bus.delete()
    with pytest.raises(NotFound, match=f"durable consumer {NAME}"):
        await bus.ports.consumers.verify()
    await bus.ports.log.append(events("team", 1))
    assert aggregates(await take_all(subscription, 1)) == ["a0"]
    await bus.ports.consumers.verify()


async def test_a_waiting_pull_learns_at_once_that_its_consumer_was_deleted(bus: Bus) -> None:
    subscription = await bus.ports.consumers.open(SPEC)
    waiting = asyncio.create_task(take(subscription, 1))
    await eventually(lambda: bus.ports.consumers.attended(NAME))
    await bus.delete()
    await bus.ports.log.append(events("team", 1))
    async with asyncio.timeout(2.0):
        (delivery,) = await waiting
    assert delivery.message.subject.endswith("a0")


async def test_a_consumer_made_again_begins_at_the_lowest_message_that_nobody_acknowledged(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock_chassis.adapters.nats.consumers.LOOK_SECONDS", 0.0)
    await bus.ports.log.append(events("team", 6))
    subscription = await bus.ports.consumers.open(SPEC)
    taken = await take(subscription, 5)
    for delivery in (*taken[:2], taken[3]):  # 1, 2 and 4 are done; 3 and 5 are in hand
        await delivery.ack()
    while await bus.floor() < 2:  # noqa: ASYNC110 - acknowledgements are not answered
        await asyncio.sleep(0.01)
    assert aggregates([(await take(subscription, 1))[0].message.subject]) == ["a5"]
    await bus.delete()
    again = await take(subscription, 4)
    assert [delivery.message.sequence for delivery in again] == [3, 4, 5, 6]


async def test_a_consumer_made_again_is_opened_by_the_next_process_where_it_stands(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock_chassis.adapters.nats.consumers.LOOK_SECONDS", 0.0)
    await bus.ports.log.append(events("team", 3))
    first = await bus.ports.consumers.open(SPEC)
    await take_all(first, 2)
    while await bus.floor() < 2:  # noqa: ASYNC110 - acknowledgements are not answered
        await asyncio.sleep(0.01)
    await take(first, 1)
    await bus.delete()
    await take_all(first, 1)
    await first.close()
    await bus.ports.log.append([event("team", "later")])
    second = await bus.ports.consumers.open(SPEC)
    assert aggregates(await take_all(second, 1)) == ["later"]


async def test_two_services_on_one_lost_consumer_make_it_once_and_share_on(bus: Bus) -> None:
    client = await connect_client(bus.url, "other")
    other = ports_on(client, PlatformSettings(), bus.ports.objects)
    subscriptions = [await ports.consumers.open(SPEC) for ports in (bus.ports, other)]
    waiting = [asyncio.create_task(take_all(one, 5)) for one in subscriptions]
    await bus.delete()
    await bus.ports.log.append(events("team", 40))
    found: list[str] = []
    async with asyncio.timeout(SOON_SECONDS):
        for task in waiting:
            found += await task
        while len(set(found)) < 40:
            for subscription in subscriptions:
                if len(set(found)) < 40:
                    found += await take_all(subscription, 1)
    assert sorted(set(found)) == sorted(message.subject for message in events("team", 40))
    await client.close()
