"""Durable pull consumers with a sliding window.

A subscription keeps exactly as many messages requested as its caller has room for: no batch is
waited for, and nothing is fetched that cannot be handled. Requests carry heartbeats; when they
stop (a server restart, a lost connection, a deleted consumer) everything outstanding is forgotten
and asked anew, of a consumer that is made again where it is no longer there (see `durable.py`).
"""

import asyncio
import json
from collections import deque
from typing import Any

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from penstock_chassis.adapters.nats.client import listen
from penstock_chassis.adapters.nats.connection import call
from penstock_chassis.adapters.nats.durable import DurableConsumer
from penstock_chassis.adapters.nats.stored import AckInfo, from_delivery, parse_ack
from penstock_chassis.adapters.nats.streams import SECOND
from penstock_chassis.errors import ChassisError, NotFound, Unavailable
from penstock_chassis.ports import ConsumerSpec, Delivery, StoredMessage

EXPIRES_SECONDS = 30.0
HEARTBEAT_SECONDS = 1.0
SILENCE_SECONDS = 2.5
RETRY_SECONDS = 0.25
LOOK_SECONDS = 5.0
"""How often a subscription looks whether its consumer is there and what it has acknowledged: so
much work at most comes again after a loss."""
CONSUMER_DELETED = "Consumer Deleted"
"""What the server says to a pull that waits, with status 409."""

log = structlog.get_logger("penstock.nats")


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

    def __init__(self, client: Client, durable: DurableConsumer) -> None:
        self._client = client
        self._durable = durable
        self.name = durable.spec.name
        self._next_subject = f"$JS.API.CONSUMER.MSG.NEXT.{durable.stream}.{self.name}"
        self._arrived: deque[Delivery] = deque()
        self._event = asyncio.Event()
        self._outstanding = 0
        self._heard = 0.0
        self._look_at = 0.0
        self._inbox = ""
        self._subscription: Any = None
        self.closed = False

    async def open(self) -> None:
        """Listen on a new inbox; nothing is outstanding."""
        await self._unsubscribe()
        self._inbox = self._client.new_inbox()
        self._subscription = await listen(self._client, self._inbox, self._arrive)
        self._outstanding = 0

    async def next(self, count: int) -> list[Delivery]:
        """See `Subscription.next`. Returns nothing once closed."""
        loop = asyncio.get_running_loop()
        while True:
            if loop.time() >= self._look_at:
                await self._look()
            if self._arrived or self.closed:
                break
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
        if not self.closed and not await self._look():
            await self.open()

    async def _look(self) -> bool:
        """Keep the consumer there; whether it was made again, with everything asked anew."""
        self._look_at = asyncio.get_running_loop().time() + LOOK_SECONDS
        try:
            made = await self._durable.keep()
        except ChassisError as error:  # silence or the next look tries again
            log.warning("consumer not looked at", consumer=self.name, error=str(error))
            return False
        if made and not self.closed:
            await self.open()
        return made

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
            if headers.get("Description") == CONSUMER_DELETED:
                self._look_at = 0.0
                self._event.set()

    async def _unsubscribe(self) -> None:
        if self._subscription is not None and not self._client.is_closed:
            await self._subscription.unsubscribe()
        self._subscription = None

    async def close(self) -> None:
        """See `Subscription.close`."""
        self.closed = True
        self._event.set()
        await self._unsubscribe()


class NatsConsumers:
    """`Consumers` of one stream."""

    def __init__(self, client: Client, stream: str) -> None:
        self._client = client
        self._stream = stream
        self._opened: list[NatsSubscription] = []

    async def open(self, spec: ConsumerSpec) -> NatsSubscription:
        """See `Consumers.open`."""
        durable = DurableConsumer(self._client, self._stream, spec)
        await durable.make()
        subscription = NatsSubscription(self._client, durable)
        await subscription.open()
        self._opened = [other for other in self._opened if not other.closed]
        self._opened.append(subscription)
        return subscription

    async def pending(self, name: str) -> int:
        """See `Consumers.pending`."""
        info = await self._info(name)
        return int(info["num_pending"]) + int(info["num_ack_pending"])

    async def attended(self, name: str) -> bool:
        """See `Consumers.attended`."""
        info = await self._info(name)
        return int(info["num_waiting"]) + int(info["num_ack_pending"]) > 0

    async def verify(self) -> None:
        """See `Consumers.verify`."""
        for name in sorted({opened.name for opened in self._opened if not opened.closed}):
            try:
                await self._info(name)
            except NotFound as error:
                raise NotFound(
                    f"the durable consumer {name} of stream {self._stream} is gone; its service "
                    "makes it again within seconds, else see the service's log"
                ) from error

    async def _info(self, name: str) -> dict[str, Any]:
        return await call(self._client, f"CONSUMER.INFO.{self._stream}.{name}")
