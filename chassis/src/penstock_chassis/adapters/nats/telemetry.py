"""Telemetry on its own stream: acknowledged, deduplicated, not synced."""

from collections.abc import AsyncIterator

from nats.aio.client import Client
from nats.errors import Error as NatsError

from penstock_chassis.adapters.nats.connection import CALL_SECONDS
from penstock_chassis.adapters.nats.log import ID_HEADER, NatsLog
from penstock_chassis.adapters.nats.ordered import ordered
from penstock_chassis.errors import Unavailable
from penstock_chassis.ports import StoredMessage


class NatsTelemetry:
    """`Telemetry` on one stream."""

    def __init__(self, client: Client, stream: str) -> None:
        self._client = client
        self._stream = stream
        self._log = NatsLog(client, stream)

    async def publish(self, subject: str, payload: bytes, id: str) -> None:
        """See `Telemetry.publish`."""
        try:
            await self._client.request(
                subject, payload, timeout=CALL_SECONDS, headers={ID_HEADER: id}
            )
        except (NatsError, OSError) as error:
            raise Unavailable(f"telemetry not stored: {error!r}") from error

    async def read(self, filter: str, *, after: int = 0, limit: int = 0) -> list[StoredMessage]:
        """See `Telemetry.read`."""
        return await self._log.read(filter, after=after, limit=limit)

    def follow(self, filter: str, *, after: int = 0) -> AsyncIterator[StoredMessage]:
        """See `Telemetry.follow`."""
        return ordered(self._client, self._stream, [filter], after, None)
