"""A crash cuts a service off from the world, and leaves the world as it was."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from penstock_chassis.ports import Message
from penstock_chassis.testing import CrashPlan, Faults, SimCrash, SimPorts, SimWorld, run
from penstock_chassis.testing.contracts.deliveries import spec, take
from penstock_chassis.testing.contracts.suite import event, everything, guard


class Launcher:
    """A port of a service's own: it starts things, and tells of them one by one."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.limit = 3

    async def start(self, name: str) -> str:
        await asyncio.sleep(1)
        self.started.append(name)
        return f"handle of {name}"

    async def watch(self) -> AsyncIterator[str]:
        for name in list(self.started):
            yield name


async def _append(ports: SimPorts, *messages: Message) -> None:
    await ports.log.append(list(messages))


def test_a_crash_before_a_call_leaves_no_effect_and_one_after_it_does() -> None:
    for when, count in (("before", 0), ("after", 1)):
        world = SimWorld()
        plan = CrashPlan(1, "before") if when == "before" else CrashPlan(1, "after")
        ports = world.ports(world.start("a", plan))

        async def main(ports: SimPorts = ports) -> None:
            with pytest.raises(SimCrash):
                await _append(ports, event("ns", "x"))

        run(main())
        assert len(world.stored()) == count


def test_a_dead_incarnation_cannot_touch_the_world() -> None:
    world = SimWorld()
    ports = world.ports("a")

    async def main() -> None:
        await _append(ports, event("ns", "x"))
        subscription = await ports.consumers.open(spec("ns"))
        (delivery,) = await take(subscription, 1)
        bucket = await ports.kv.bucket("b")
        ports.incarnation.kill()
        for call in (
            _append(ports, event("ns", "y")),
            ports.log.read(everything("ns")),
            delivery.ack(),
            subscription.next(1),
            bucket.put("k", b"v"),
            ports.objects.put("ns", b"o"),
            ports.dead_letters.list(),
            ports.telemetry.publish("telemetry.ns.a", b"", "id"),
            anext(ports.log.follow([everything("ns")])),
        ):
            with pytest.raises(SimCrash):
                await call
        assert world.consumers["ns"].pending == 1

    run(main())
    assert len(world.stored()) == 1
    assert world.objects == {}
    assert world.telemetry.last == 0


def test_a_crash_ends_every_task_of_the_incarnation_and_no_other() -> None:
    world = SimWorld()
    life = world.start("a", CrashPlan(1, "before"))
    ports = world.ports(life)
    turns = {"own": 0, "world": 0}

    async def turn(name: str) -> None:
        while True:
            await asyncio.sleep(1)
            turns[name] += 1

    async def service() -> None:
        own = asyncio.create_task(turn("own"))
        world.spawn(turn("world"))
        await asyncio.sleep(10.5)
        await ports.log.head(["penstock.>"])
        await own

    async def main() -> None:
        task = life.task(service())
        await asyncio.wait([task])
        assert isinstance(task.exception(), SimCrash)
        await asyncio.sleep(10)

    run(main())
    assert turns == {"own": 10, "world": 20}


def test_what_a_dead_incarnation_held_comes_to_the_next_after_its_lease() -> None:
    world = SimWorld()

    async def main() -> float:
        first, second = world.ports("a"), world.ports("a")
        await _append(first, event("ns", "x"))
        await take(await first.consumers.open(spec("ns", lease_seconds=30)), 1)
        first.incarnation.kill()
        began = asyncio.get_running_loop().time()
        waiting = asyncio.create_task(
            (await second.consumers.open(spec("ns", lease_seconds=30))).next(1)
        )
        (again,) = await waiting
        assert again.deliveries == 2
        return asyncio.get_running_loop().time() - began

    assert run(main()) == 30


def test_the_ports_of_a_service_can_be_given_crash_points() -> None:
    launcher = Launcher()
    world = SimWorld()

    async def use(ports: SimPorts) -> list[str]:
        crashable = ports.crashable(launcher)
        assert crashable.limit == 3
        await crashable.start("x")
        return [name async for name in crashable.watch()]

    async def main() -> int:
        clean = world.ports("a")
        assert await use(clean) == ["x"]
        launcher.started.clear()
        with pytest.raises(SimCrash):
            await use(world.ports(world.start("a", CrashPlan(1, "before"))))
        assert launcher.started == []
        with pytest.raises(SimCrash):
            await use(world.ports(world.start("a", CrashPlan(1, "after"))))
        assert launcher.started == ["x"]
        return clean.incarnation.calls

    assert run(main()) == 3  # start, the watch's one item, and the step that ends it


def test_an_id_is_forgotten_after_the_duplicate_window() -> None:
    world = SimWorld()
    ports = world.ports()

    async def main() -> None:
        for pause_seconds in (100.0, 100.0, 0.0):
            await _append(ports, event("ns", "x"))
            await asyncio.sleep(pause_seconds)

    run(main())
    assert len(world.stored()) == 2


def test_a_late_publish_arrives_after_the_caller_was_told_that_nothing_came() -> None:
    world = SimWorld(faults=Faults(late_publish=1.0, delay_seconds_max=10.0))
    ports = world.ports()

    async def main() -> tuple[int, int]:
        with pytest.raises(Exception, match="still under way"):
            await _append(ports, event("ns", "x", guard=guard("ns", "x", 0)))
        early = len(world.stored())
        await asyncio.sleep(10)
        return early, len(world.stored())

    assert run(main()) == (0, 1)


def test_a_refused_read_gives_no_answer() -> None:
    ports = SimWorld(faults=Faults(refuse_read=1.0)).ports()

    async def main() -> None:
        with pytest.raises(Exception, match="no answer"):
            await ports.log.read("penstock.>")

    run(main())
