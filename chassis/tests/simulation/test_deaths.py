"""Messages that end their process: found out and buried, and no other message with them."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from penstock_chassis import consumer
from penstock_chassis.consumer import ConsumerLoop
from penstock_chassis.deaths import DEATHS_BUCKET, DEATHS_MAX, Deaths
from penstock_chassis.errors import Unavailable
from penstock_chassis.ports import ConsumerSpec, Delivery
from penstock_chassis.testing import SimPorts, SimWorld, run
from penstock_chassis.testing.contracts.suite import event, events
from penstock_chassis.testing.simbus.incarnation import Incarnation

LEASE_SECONDS = 30.0
LIVES_MAX = 3 * DEATHS_MAX
KILLER = "a1"
MESSAGES = 4
KILLS_SECONDS = 1.0
WORK_SECONDS = 5.0
"""Of the innocent: longer than the killer needs, so that each of its deaths hits them all."""
KILLS = 200
KILL_SECONDS_MAX = 6 * WORK_SECONDS
"""From one kill to the next. With two thirds of it one message of 10,000 died as often as a killer
does, and was buried: nothing tells those apart."""


async def _consume(
    ports: SimPorts, handle: Callable[[Delivery], Awaitable[None]], service: str = "worker"
) -> ConsumerLoop:
    spec = ConsumerSpec("worker", ("penstock.>",), LEASE_SECONDS)
    return ConsumerLoop(
        service,
        await ports.consumers.open(spec),
        handle,
        ports.dead_letters,
        lease_seconds=LEASE_SECONDS,
        deaths=Deaths(service, ports.kv),
    )


class Story:
    """Process after process handles a log in which one message kills."""

    def __init__(self, seed: int) -> None:
        self.world = SimWorld(seed)
        self.ports = self.world.ports()
        self.calls: Counter[str] = Counter()
        self.handled: list[str] = []

    async def play(self) -> None:
        for message in events("team", MESSAGES):
            await self.ports.log.append([message])
        for _ in range(LIVES_MAX):
            await self._life()
            if await self.ports.consumers.pending("worker") == 0:
                return
        raise AssertionError(f"not at an end after {LIVES_MAX} lives: {self.calls}")

    async def _life(self) -> None:
        life = self.world.start("worker")
        over = asyncio.Event()

        async def handle(delivery: Delivery) -> None:
            name = delivery.message.subject.rsplit(".", 1)[1]
            self.calls[name] += 1
            if name == KILLER:
                await asyncio.sleep(KILLS_SECONDS)
                over.set()
                life.kill("by its message")
            await asyncio.sleep(WORK_SECONDS)
            self.handled.append(name)

        async def serve() -> None:
            await (await _consume(self.world.ports(life), handle)).run()

        life.task(serve())
        try:
            async with asyncio.timeout(LEASE_SECONDS * MESSAGES):
                await over.wait()
        except TimeoutError:
            life.kill("at the end")


@pytest.mark.parametrize("seed", range(5))
def test_a_message_that_kills_its_process_is_buried_and_those_in_hand_with_it_are_handled(
    seed: int,
) -> None:
    async def main() -> None:
        story = Story(seed)
        await story.play()
        (letter,) = await story.ports.dead_letters.list()
        assert letter.subject.endswith(KILLER)
        assert letter.reason.startswith("the process died, or was stopped, while handling it")
        assert sorted(story.handled) == ["a0", "a2", "a3"], "each once"
        assert story.calls[KILLER] == DEATHS_MAX + 1, "the first death is not counted"
        bucket = await story.ports.kv.bucket(DEATHS_BUCKET)
        assert await bucket.keys() == [f"worker.{letter.sequence}"], "the innocent are cleared"

    run(main(), seed=seed)


async def _recorded(ports: SimPorts) -> dict[int, int]:
    """Deaths by sequence, as the records say."""
    bucket = await ports.kv.bucket(DEATHS_BUCKET)
    entries = [await bucket.get(key) for key in await bucket.keys()]
    return {int(e.key.split(".")[1]): int(e.value) for e in entries if e is not None}


@pytest.mark.parametrize("seed", range(5))
def test_kills_at_random_moments_bury_nothing(seed: int) -> None:
    """Far more deaths than one message may have; none is laid to one that was not in hand."""

    async def main() -> None:
        dice = random.Random(seed)
        world = SimWorld(seed)
        ports = world.ports()
        in_hand: set[int] = set()
        deaths: Counter[int] = Counter()

        async def handle(delivery: Delivery) -> None:
            in_hand.add(delivery.message.sequence)
            await asyncio.sleep(WORK_SECONDS)
            in_hand.discard(delivery.message.sequence)

        async def serve(life: Incarnation) -> None:
            await (await _consume(world.ports(life), handle)).run()

        for kill in range(KILLS):
            await ports.log.append([event("team", f"m{kill}")])
            life = world.start("worker")
            life.task(serve(life))
            await asyncio.sleep(dice.uniform(0, KILL_SECONDS_MAX))  # virtual
            life.kill("at random")
            deaths.update(in_hand)
            in_hand.clear()
            assert all(n <= deaths[sequence] for sequence, n in (await _recorded(ports)).items())
        life = world.start("worker")
        life.task(serve(life))
        await asyncio.sleep(KILLS * WORK_SECONDS + 2 * LEASE_SECONDS)  # virtual
        life.kill("at the end")
        assert deaths.total() > 2 * DEATHS_MAX, "the kills hit"
        assert await ports.dead_letters.list() == []
        assert await ports.consumers.pending("worker") == 0
        assert await _recorded(ports) == {}

    run(main(), seed=seed)


def test_a_server_that_is_away_through_more_restarts_than_deaths_buries_nothing() -> None:
    async def main() -> None:
        ports = SimWorld(seed=1).ports()
        calls = 0

        async def handle(_: Delivery) -> None:
            nonlocal calls
            calls += 1
            if calls < 10 * DEATHS_MAX:
                raise Unavailable("the object store is away")

        await ports.log.append(events("team", 1))
        for _ in range(LIVES_MAX):
            loop = await _consume(ports, handle)
            running = asyncio.create_task(loop.run())
            await asyncio.sleep(5 * LEASE_SECONDS)  # virtual
            await loop.drain()
            await running
        assert await ports.dead_letters.list() == []
        assert await ports.consumers.pending("worker") == 0
        assert await (await ports.kv.bucket(DEATHS_BUCKET)).keys() == []

    run(main(), seed=1)


def test_a_server_that_is_away_is_waited_for_beyond_every_number_of_deliveries(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(consumer, "DELIVERIES_MAX", 20)

    async def main() -> None:
        ports = SimWorld(seed=1).ports()

        async def handle(delivery: Delivery) -> None:
            if delivery.deliveries <= 50:
                raise Unavailable("away")

        await ports.log.append(events("team", 1))
        running = asyncio.create_task((await _consume(ports, handle)).run())
        await asyncio.sleep(60 * consumer.BACKOFF_MAX_SECONDS)  # virtual
        assert await ports.consumers.pending("worker") == 0
        assert await ports.dead_letters.list() == []
        running.cancel()

    run(main(), seed=1)


def test_what_is_remembered_of_messages_that_another_replica_ended_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(consumer, "REMEMBERED_MAX", 8)

    async def main() -> None:
        ports = SimWorld(seed=1).ports()
        failed: set[int] = set()
        ended: set[int] = set()

        async def fail(delivery: Delivery) -> None:
            failed.add(delivery.message.sequence)
            raise ValueError("here it never works")

        async def work(delivery: Delivery) -> None:
            ended.add(delivery.message.sequence)

        failing, working = await _consume(ports, fail), await _consume(ports, work)
        running = [asyncio.create_task(loop.run()) for loop in (failing, working)]
        for message in events("team", 200):
            await ports.log.append([message])
        await asyncio.sleep(20 * LEASE_SECONDS)  # virtual
        assert len(failed & ended) > 2 * consumer.REMEMBERED_MAX
        assert len(failing._put_back) <= consumer.REMEMBERED_MAX
        assert working._put_back == {}
        for task in running:
            task.cancel()

    run(main(), seed=1)
