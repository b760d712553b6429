"""The event loop in virtual time."""

import asyncio
import time

import pytest

from penstock_chassis.testing import EPOCH, DeadlockError, LimitReachedError, SimClock, run


def test_a_long_sleep_takes_no_real_time() -> None:
    async def main() -> float:
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time()

    began = time.monotonic()
    assert run(main()) == 3600
    assert time.monotonic() - began < 5


def test_the_clock_is_the_epoch_plus_virtual_time() -> None:
    async def main() -> float:
        await asyncio.sleep(90)
        return (SimClock().now() - EPOCH).total_seconds()

    assert run(main()) == 90


def test_timeouts_events_and_queues_work() -> None:
    async def main() -> list[object]:
        queue: asyncio.Queue[int] = asyncio.Queue(1)
        event = asyncio.Event()
        found: list[object] = []

        async def produce() -> None:
            for number in range(3):
                await queue.put(number)
            event.set()

        async with asyncio.TaskGroup() as group:
            group.create_task(produce())
            found += [await queue.get() for _ in range(3)]
        await asyncio.wait_for(event.wait(), 1)
        try:
            async with asyncio.timeout(5):
                await asyncio.Event().wait()
        except TimeoutError:
            found.append("timeout")
        found.append(await asyncio.to_thread(lambda: "thread"))
        found.append(asyncio.get_running_loop().time())
        return found

    assert run(main()) == [0, 1, 2, "timeout", "thread", 5.0]


def test_timers_fire_in_the_order_of_their_times() -> None:
    async def main() -> list[int]:
        found: list[int] = []

        async def later(seconds: int) -> None:
            await asyncio.sleep(seconds)
            found.append(seconds)

        await asyncio.gather(*(later(seconds) for seconds in (3, 1, 2)))
        return found

    for seed in range(20):
        assert run(main(), seed=seed) == [1, 2, 3]


def test_the_order_of_what_is_ready_is_the_seeds() -> None:
    async def main() -> str:
        found: list[str] = []

        async def say(letter: str) -> None:
            await asyncio.sleep(0)
            found.append(letter)

        await asyncio.gather(*(say(letter) for letter in "abcd"))
        return "".join(found)

    orders = [run(main(), seed=seed) for seed in range(200)]
    assert len(set(orders)) == 24
    assert orders == [run(main(), seed=seed) for seed in range(200)]
    assert run(main(), seed=None) == "abcd"


def test_a_lost_update_is_found_by_some_seed() -> None:
    async def main() -> int:
        count = 0

        async def add() -> None:
            nonlocal count
            seen = count
            await asyncio.sleep(0)
            count = seen + 1

        await asyncio.gather(add(), add())
        return count

    assert {run(main(), seed=seed) for seed in range(30)} == {1, 2}


def test_waiting_for_what_never_comes_is_an_error_that_names_the_waiting() -> None:
    async def waits_for_nobody() -> None:
        await asyncio.Event().wait()

    with pytest.raises(DeadlockError, match="waits_for_nobody"):
        run(waits_for_nobody())


def test_virtual_time_is_bounded() -> None:
    async def main() -> None:
        while True:  # noqa: ASYNC110 - never ending is the point
            await asyncio.sleep(1)

    with pytest.raises(LimitReachedError, match="would pass 60 seconds"):
        run(main(), limit_seconds=60)


def test_steps_are_bounded() -> None:
    async def main() -> None:
        while True:  # noqa: ASYNC110 - never ending is the point
            await asyncio.sleep(0)

    with pytest.raises(LimitReachedError, match="too many steps"):
        run(main(), steps_max=1000)


def test_the_error_of_the_main_coroutine_comes_out_and_its_tasks_are_cancelled() -> None:
    ended: list[str] = []

    async def background() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            ended.append("background")

    async def main() -> None:
        task = asyncio.create_task(background())
        await asyncio.sleep(1)
        assert not task.done()
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        run(main())
    assert ended == ["background"]
