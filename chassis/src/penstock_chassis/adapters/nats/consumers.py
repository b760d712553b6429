"""Durable pull consumers with a sliding window.

A subscription keeps exactly as many messages requested as its caller has room for: no batch is
waited for, and nothing is fetched that cannot be handled. Requests carry heartbeats; when they
stop (a server restart, a lost connection) everything outstanding is forgotten and asked anew.
"""

import asyncio
import json
from collections import deque
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from penstock_chassis.adapters.nats.client import listen
from penstock_chassis.adapters.nats.connection import call
from penstock_chassis.adapters.nats.stored import AckInfo, from_delivery, parse_ack
from penstock_chassis.adapters.nats.streams import SECOND
from penstock_chassis.errors import Unavailable
from penstock_chassis.ports import ConsumerSpec, Delivery, StoredMessage

EXPIRES_SECONDS = 30.0
HEARTBEAT_SECONDS = 1.0
SILENCE_SECONDS = 2.5
RETRY_SECONDS = 0.25


class NatsDelivery:
    """`Delivery` of one message; `raw` is the client library's own."""

    __slots__ = ("_info", "message", "raw")

    def __init__(self, raw: Msg, info: AckInfo) -> None:
        self.raw = raw
        self.message: StoredMessage = from_delivery(raw, info)
        self._info = info

    @property
    def deliveries(self) -> int:
        """See `Delivery.deliveries`."""
        return self._info.deliveries

    async def ack(self) -> None:
        """See `Delivery.ack`."""
        await self._say(b"+ACK")

    async def nak(self, delay_seconds: float) -> None:
        """See `Delivery.nak`."""
        await self._say(b'-NAK {"delay": %d}' % int(delay_seconds * SECOND))

    async def term(self) -> None:
        """See `Delivery.term`."""
        await self._say(b"+TERM")

    async def in_progress(self) -> None:
        """See `Delivery.in_progress`."""
        await self._say(b"+WPI")

    async def _say(self, word: bytes) -> None:
        try:
            await self.raw._client.publish(self.raw.reply, word)
        except NatsError as error:
            raise Unavailable(f"{word[:4]!r} not sent: {error!r}") from error


class NatsSubscription:
    """`Subscription` on one durable consumer."""

    def __init__(self, client: Client, stream: str, name: str) -> None:
        self._client = client
        self._next_subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}"
        self._name = name
        self._arrived: deque[Delivery] = deque()
        self._event = asyncio.Event()
        self._outstanding = 0
        self._heard = 0.0
        self._inbox = ""
        self._subscription: Any = None
        self._closed = False

    async def open(self) -> None:
        """Listen on a new inbox; nothing is outstanding."""
        await self._unsubscribe()
        self._inbox = self._client.new_inbox()
        self._subscription = await listen(self._client, self._inbox, self._arrive)
        self._outstanding = 0

    async def next(self, count: int) -> list[Delivery]:
        """See `Subscription.next`. Returns nothing once closed."""
        loop = asyncio.get_running_loop()
        while not self._arrived and not self._closed:
            if self._outstanding < count:
                await self._pull(count - self._outstanding)
                self._heard = loop.time()
            self._event.clear()
            try:
                async with asyncio.timeout(SILENCE_SECONDS):
                    await self._event.wait()
            except TimeoutError:
                if loop.time() - self._heard >= SILENCE_SECONDS:
                    await self._reopen()
        return [self._arrived.popleft() for _ in range(min(count, len(self._arrived)))]

    async def _pull(self, count: int) -> None:
        body = {
            "batch": count,
            "expires": int(EXPIRES_SECONDS * SECOND),
            "idle_heartbeat": int(HEARTBEAT_SECONDS * SECOND),
        }
        await self._client.publish(self._next_subject, json.dumps(body).encode(), reply=self._inbox)
        self._outstanding += count

    async def _reopen(self) -> None:
        await asyncio.sleep(RETRY_SECONDS)
        if not self._closed:
            await self.open()

    def _arrive(self, message: Msg) -> None:
        self._heard = asyncio.get_running_loop().time()
        if message.reply.startswith("$JS.ACK"):
            self._outstanding = max(0, self._outstanding - 1)
            self._arrived.append(NatsDelivery(message, parse_ack(message.reply)))
            self._event.set()
            return
        headers = message.headers or {}
        if headers.get("Status") == "100":
            return
        # 408 expired, 409 e.g. too many unacknowledged, 503 nobody there: so many will not come.
        undelivered = int(headers.get("Nats-Pending-Messages", "0"))
        if headers.get("Status") == "408" and undelivered:
            self._outstanding = max(0, self._outstanding - undelivered)
            self._event.set()
        else:
            self._heard = float("-inf")  # let the silence rule ask anew, after a pause

    async def _unsubscribe(self) -> None:
        if self._subscription is not None and not self._client.is_closed:
            await self._subscription.unsubscribe()
        self._subscription = None

    async def close(self) -> None:
        """See `Subscription.close`."""
        self._closed = True
        self._event.set()
        await self._unsubscribe()


class NatsConsumers:
    """`Consumers` of one stream."""

    def __init__(self, client: Client, stream: str) -> None:
        self._client = client
        self._stream = stream

    async def open(self, spec: ConsumerSpec) -> NatsSubscription:
        """See `Consumers.open`."""
        config = {
            "durable_name": spec.name,
            "name": spec.name,
            "ack_policy": "explicit",
            "ack_wait": int(spec.lease_seconds * SECOND),
            "max_ack_pending": spec.in_flight_max,
            "max_deliver": -1,  # the consumer loop counts, and stores a dead letter first
            "deliver_policy": "all",
            "filter_subjects": list(spec.filters),
        }
        await call(
            self._client,
            f"CONSUMER.CREATE.{self._stream}.{spec.name}",
            {"stream_name": self._stream, "config": config, "action": ""},
        )
        subscription = NatsSubscription(self._client, self._stream, spec.name)
        await subscription.open()
        return subscription

    async def pending(self, name: str) -> int:
        """See `Consumers.pending`."""
        info = await self._info(name)
        return int(info["num_pending"]) + int(info["num_ack_pending"])

    async def attended(self, name: str) -> bool:
        """See `Consumers.attended`."""
        info = await self._info(name)
        return int(info["num_waiting"]) + int(info["num_ack_pending"]) > 0

    async def _info(self, name: str) -> dict[str, Any]:
        return await call(self._client, f"CONSUMER.INFO.{self._stream}.{name}")
