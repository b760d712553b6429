"""Messages whose handling ends with the process.

How often a message was delivered does not say how that ended: a delay that a handler asked for, a
server that is away and a lost acknowledgement count like a death. Therefore a message that comes
again for no reason known to this process is recorded in a bucket while it is handled, and the
record goes when that ends, in whatever way. A record that is found was left by a process that died
or was stopped meanwhile: one death of that message.

Others that were in hand at such a death are found with a record, too. So messages with a record are
handled one at a time: who is innocent ends and is cleared, and only the killer's number grows.

First deliveries, and those that this process itself put back, are not recorded: they cost nothing,
and the first death is not counted. Nothing rests on the record: where the bucket does not answer,
the message is handled without it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog

from penstock_chassis.errors import Conflict, Reject, Unavailable
from penstock_chassis.ports import KeyValue, KeyValues

DEATHS_BUCKET = "DEATHS"
DEATHS_MAX = 10
"""Deaths in a row before a message becomes a dead letter. One that kills its process is then known
after about as many leases, in minutes. An innocent one that happens to be in hand at as many deaths
in a row is not told from it: with handlers of 5 s, simulated, one of 10,000 messages where kills
came 10 s apart on average, none where they came 15 s apart. An outage that begins while a message
is in hand may leave one record, however long it is."""
RECORD_SECONDS = 86400.0
"""A record that nobody comes back to is forgotten after a day, and deaths are counted anew."""

log = structlog.get_logger("penstock.consumer")


class Deaths:
    """The records of one consumer of one service."""

    def __init__(self, service: str, buckets: KeyValues, deaths_max: int = DEATHS_MAX) -> None:
        self._service = service
        self._buckets = buckets
        self._deaths_max = deaths_max
        self._bucket: KeyValue | None = None
        self._alone = asyncio.Lock()

    @asynccontextmanager
    async def recorded(self, sequence: int) -> AsyncIterator[None]:
        """Keep a record of the message while the block runs; alone, where one was found.

        Raises `Reject` where the message has ended too many processes.
        """
        key = f"{self._service}.{sequence}"
        if not await self._found(key):
            async with self._record(key, deaths=0):
                yield
            return
        async with self._alone:
            deaths = await self._found(key)
            if deaths >= self._deaths_max:
                raise Reject(
                    f"the process died, or was stopped, while handling it: {deaths} times in a row"
                )
            log.warning("handled alone", service=self._service, sequence=sequence, deaths=deaths)
            async with self._record(key, deaths):
                yield

    @asynccontextmanager
    async def _record(self, key: str, deaths: int) -> AsyncIterator[None]:
        with suppress(Unavailable):
            await (await self._open()).put(key, str(deaths + 1).encode())
        try:
            yield
        except Exception:
            await self._clear(key)
            raise
        await self._clear(key)  # not where it was cancelled: that is how processes are stopped

    async def _found(self, key: str) -> int:
        with suppress(Unavailable):
            entry = await (await self._open()).get(key)
            return int(entry.value) if entry is not None else 0
        return 0

    async def _clear(self, key: str) -> None:
        with suppress(Conflict, Unavailable):  # another process has it by now, or it goes with time
            bucket = await self._open()
            entry = await bucket.get(key)
            if entry is not None:
                await bucket.delete(key, entry.revision)

    async def _open(self) -> KeyValue:
        if self._bucket is None:
            self._bucket = await self._buckets.bucket(DEATHS_BUCKET, ttl_seconds=RECORD_SECONDS)
        return self._bucket
