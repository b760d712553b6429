"""Taking deliveries and waiting in a test, with bounds.

What happens is awaited (`take`, `eventually`); only that something does not happen takes its
time (`nothing_comes`), the least that says anything about a real server.
"""

import asyncio
from collections.abc import Awaitable, Callable

from penstock_chassis.ports import ConsumerSpec, Delivery, Subscription

LEASE_SECONDS = 1.0
SOON_SECONDS = 10.0
"""By when what must happen has happened."""
POLL_SECONDS = 0.02
"""Between two looks at what tells nobody that it changed."""
QUIET_SECONDS = 0.2
"""What waits for no lease, a real server sends within milliseconds: nothing came for so long, so
nothing is sent. Any shorter and a loaded machine is late by as much."""
LEASE_OVER_SECONDS = 1.2 * LEASE_SECONDS
"""What is not acknowledged, a real server sends again within milliseconds after its lease: nothing
came for so long, so it holds nothing unacknowledged."""


def spec(ns: str, lease_seconds: float = LEASE_SECONDS, in_flight_max: int = 256) -> ConsumerSpec:
    """A consumer of a whole namespace, named like it."""
    return ConsumerSpec(ns, (f"penstock.{ns}.>",), lease_seconds, in_flight_max)


async def take(subscription: Subscription, count: int) -> list[Delivery]:
    """Exactly `count` deliveries, unacknowledged; raises `TimeoutError`."""
    taken: list[Delivery] = []
    async with asyncio.timeout(SOON_SECONDS):
        while len(taken) < count:
            taken += await subscription.next(count - len(taken))
    return taken


async def take_all(subscription: Subscription, count: int) -> list[str]:
    """The subjects of `count` deliveries, each acknowledged."""
    taken = await take(subscription, count)
    for delivery in taken:
        await delivery.ack()
    return [delivery.message.subject for delivery in taken]


async def nothing_comes(subscription: Subscription, seconds: float) -> bool:
    """Whether no delivery comes for so long."""
    try:
        async with asyncio.timeout(seconds):
            await subscription.next(1)
    except TimeoutError:
        return True
    return False


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait until it holds; raises `TimeoutError`."""
    async with asyncio.timeout(SOON_SECONDS):
        while not await holds():  # noqa: ASYNC110 - nothing tells it
            await asyncio.sleep(POLL_SECONDS)


def now() -> float:
    """The loop's time, in seconds."""
    return asyncio.get_running_loop().time()
