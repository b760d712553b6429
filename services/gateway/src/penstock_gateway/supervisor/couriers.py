"""The couriers of all subscriptions: one each, in one of the gateways that run.

A lease says which gateway works; that no two work on one subscription is the shelf's to enforce.
Without a subscription there is nothing: no lease, no HTTP client, no memory.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

import structlog

from penstock_chassis.decider import Decider
from penstock_chassis.errors import Conflict, Unavailable
from penstock_chassis.lease import Lease, held_lease
from penstock_chassis.ports import KeyValue, Ports
from penstock_gateway.domain.subscriptions import Key, SubscriptionBook
from penstock_gateway.ports import WebhookSender
from penstock_gateway.supervisor.courier import Courier, Tools, Values
from penstock_gateway.supervisor.shelf import BUCKET, Shelf
from penstock_schemas import parse_subject

LEASE = "gateway-subscriptions"
AGAIN_SECONDS = 1.0
AGAIN_SECONDS_MAX = 30.0

log = structlog.get_logger("penstock.gateway")


class Couriers:
    """Runs a courier for each live subscription of the book."""

    def __init__(
        self,
        ports: Ports,
        desk: Decider[SubscriptionBook],
        make_sender: Callable[[], WebhookSender],
        values: Values,
        chance: Callable[[], float],
        give_up_seconds: float,
        holder: str,
    ) -> None:
        self._ports = ports
        self._desk = desk
        self._make_sender = make_sender
        self._values = values
        self._chance = chance
        self._give_up_seconds = give_up_seconds
        self._holder = holder
        self._couriers: dict[Key, Courier] = {}
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self._news = asyncio.Event()

    async def run(self) -> None:
        """Work for ever, in turns with other gateways."""
        # The position is read here, at once with the book below: between the two nothing is missed.
        listening = asyncio.create_task(self._listen(self._desk.fold.position))
        try:
            while True:
                while not self._desk.fold.state.live:
                    self._news.clear()
                    await self._news.wait()
                try:
                    async with held_lease(self._ports.kv, LEASE, self._holder) as lease:
                        await self._work(lease, listening)
                except Unavailable as error:
                    log.warning("deliveries wait", error=str(error))
                    await asyncio.sleep(AGAIN_SECONDS)
        finally:
            await _end([listening])

    async def _listen(self, after: int) -> None:
        """Hear of every change of a subscription; for ever."""
        fold = self._desk.fold
        filters = ["penstock.*.subscription.>"]
        async for stored in self._ports.log.follow(filters, after=after):
            await fold.reach(stored.sequence)
            subject = parse_subject(stored.subject)
            courier = self._couriers.get((subject.namespace, subject.id))
            if courier is not None:
                courier.notice()
            self._news.set()

    async def _work(self, lease: Lease, listening: "asyncio.Task[None]") -> None:
        """Keep couriers until the lease is lost."""
        sender = self._make_sender()
        bucket = await self._ports.kv.bucket(BUCKET)
        tools = Tools(
            self._ports, self._desk, sender, self._values, self._chance, self._give_up_seconds
        )
        lost = asyncio.create_task(lease.lost.wait())
        try:
            while not lost.done():
                self._news.clear()
                for key in self._desk.fold.state.live:
                    if key not in self._tasks:
                        self._tasks[key] = asyncio.create_task(self._keep(tools, bucket, key))
                news = asyncio.create_task(self._news.wait())
                ending = [lost, listening, news]
                await asyncio.wait(ending, return_when=asyncio.FIRST_COMPLETED)
                await _end([news])
                if listening.done():
                    listening.result()
        finally:
            await _end([lost, *self._tasks.values()])
            self._tasks.clear()
            await sender.close()

    async def _keep(self, tools: Tools, bucket: KeyValue, key: Key) -> None:
        """One courier after the other for a subscription, as long as it lives."""
        book, pause = self._desk.fold.state, AGAIN_SECONDS
        try:
            while key in book.live:
                courier = Courier(tools, key, book.live[key], Shelf(bucket, *key))
                self._couriers[key] = courier
                try:
                    await courier.run()
                    pause = AGAIN_SECONDS
                except (Conflict, Unavailable) as error:
                    log.warning("courier starts again", subscription=key[1], error=str(error))
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, AGAIN_SECONDS_MAX)
                except Exception as error:
                    log.exception("courier failed", subscription=key[1], error=repr(error))
                    await asyncio.sleep(AGAIN_SECONDS_MAX)
        finally:
            self._couriers.pop(key, None)
            self._tasks.pop(key, None)
            self._news.set()  # it may live again already


async def _end(tasks: Sequence["asyncio.Task[object]"]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError, Exception):
            await task
