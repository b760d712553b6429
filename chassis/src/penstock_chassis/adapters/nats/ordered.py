"""An ordered reader: everything matching some filters, in order, without gap, for ever.

An ephemeral push consumer without acknowledgements. A gap in the consumer's own numbering, a
missed heartbeat (a server restart, a lost connection) or a deleted consumer makes it start anew
behind the last message that was handed out. Flow control answers only once the reader has
consumed what came before, so a slow reader slows the server down instead of filling memory.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg

from penstock_chassis.adapters.nats.client import listen
from penstock_chassis.adapters.nats.connection import call
from penstock_chassis.adapters.nats.stored import from_delivery, parse_ack
from penstock_chassis.adapters.nats.streams import SECOND
from penstock_chassis.errors import ChassisError
from penstock_chassis.ports import StoredMessage
from penstock_schemas import new_id

HEARTBEAT_SECONDS = 1.0
SILENCE_SECONDS = 2.5
"""Without a message or a heartbeat for so long, the consumer is made anew."""
INACTIVE_SECONDS = 30
RETRY_SECONDS = 0.25

log = structlog.get_logger("penstock.nats")


class _Restart(Exception):
    """The consumer must be made anew; the argument says why."""


async def ordered(
    client: Client, stream: str, filters: Sequence[str], after: int, since: datetime | None
) -> AsyncIterator[StoredMessage]:
    """Yield messages above `after`, or stored at or after `since` where that is given."""
    position = after
    while True:
        reader = _Reader(client, stream)
        try:
            await reader.open(filters, position, since)
            while True:
                stored = await reader.next()
                position, since = stored.sequence, None
                yield stored
        except (_Restart, ChassisError) as reason:
            log.debug("ordered reader restarts", stream=stream, position=position, why=str(reason))
            await asyncio.sleep(RETRY_SECONDS)
        finally:
            await reader.close()


class _Reader:
    """One ephemeral consumer."""

    def __init__(self, client: Client, stream: str) -> None:
        self._client = client
        self._stream = stream
        self._arrived: deque[Msg] = deque()
        self._event = asyncio.Event()
        self._expected = 1
        self._subscription: Any = None

    async def open(self, filters: Sequence[str], after: int, since: datetime | None) -> None:
        inbox = self._client.new_inbox()
        self._subscription = await listen(self._client, inbox, self._arrive)
        name = f"ordered-{new_id()}"
        start: dict[str, Any] = (
            {"deliver_policy": "by_start_time", "opt_start_time": since.isoformat()}
            if since is not None
            else {"deliver_policy": "by_start_sequence", "opt_start_seq": after + 1}
        )
        config = start | {
            "name": name,
            "deliver_subject": inbox,
            "ack_policy": "none",
            "max_deliver": 1,
            "flow_control": True,
            "idle_heartbeat": int(HEARTBEAT_SECONDS * SECOND),
            "inactive_threshold": INACTIVE_SECONDS * SECOND,
            "mem_storage": True,
            "num_replicas": 1,
            "filter_subjects": list(filters),
        }
        await call(
            self._client,
            f"CONSUMER.CREATE.{self._stream}.{name}",
            {"stream_name": self._stream, "config": config, "action": "create"},
        )

    def _arrive(self, message: Msg) -> None:
        self._arrived.append(message)
        self._event.set()

    async def next(self) -> StoredMessage:
        while True:
            while not self._arrived:
                self._event.clear()
                try:
                    async with asyncio.timeout(SILENCE_SECONDS):
                        await self._event.wait()
                except TimeoutError:
                    raise _Restart("silence") from None
            message = self._arrived.popleft()
            if message.reply.startswith("$JS.ACK"):
                info = parse_ack(message.reply)
                if info.consumer_sequence != self._expected:
                    raise _Restart(f"gap: {info.consumer_sequence} is not {self._expected}")
                self._expected += 1
                return from_delivery(message, info)
            await self._status(message)

    async def _status(self, message: Msg) -> None:
        headers = message.headers or {}
        if headers.get("Status") != "100":
            raise _Restart(f"status {headers}")
        if message.reply:  # a flow control request
            await self._client.publish(message.reply)
            return
        if stalled := headers.get("Nats-Consumer-Stalled"):
            await self._client.publish(stalled)
        last = headers.get("Nats-Last-Consumer")
        if last is not None and int(last) >= self._expected:
            raise _Restart(f"gap: {last} were sent, {self._expected - 1} arrived")

    async def close(self) -> None:
        if self._subscription is not None and not self._client.is_closed:
            await self._subscription.unsubscribe()
