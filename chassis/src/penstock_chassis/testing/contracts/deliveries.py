"""Taking deliveries in a test, with bounds."""

import asyncio

from penstock_chassis.ports import ConsumerSpec, Delivery, Subscription

LEASE_SECONDS = 1.0
SOON_SECONDS = 10.0


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


def now() -> float:
    """The loop's time, in seconds."""
    return asyncio.get_running_loop().time()
