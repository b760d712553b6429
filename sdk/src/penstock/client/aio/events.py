"""`client.event`: the log itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from penstock.client.aio.lists import AsyncEvents
from penstock.client.aio.noun import Moment
from penstock.client.errors import NotFound
from penstock.client.matching import the_one
from penstock.client.records import Published, RecordedEvent, read_event, write_time

if TYPE_CHECKING:
    from penstock.client.aio.client import AsyncClient

IDEMPOTENCY_HEADER = "Idempotency-Key"


class AsyncEventLog:
    """Recorded events: read, follow, publish."""

    noun = "event"

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    def list(
        self,
        *types: str,
        id: str | None = None,
        after: int | None = None,
        since: Moment = None,
        limit: int | None = None,
    ) -> AsyncEvents:
        """Events in order: of `types` (`job.placed`, `job.*`, `*.rejected`), about the thing `id`,
        after a sequence, since a time; the first `limit` of them."""
        given = {"id": id, "after": after, "since": write_time(since)}
        return AsyncEvents(self._client.transport, self._path(), types, given, limit)

    async def get(self, id: str | int) -> RecordedEvent:
        """One event, by its id or its sequence. Raises `NotFound`."""
        return read_event(await self._client.transport.get(self._path(str(id))))

    async def find(self, part: str) -> RecordedEvent:
        """One event by its id, its sequence, or the beginning or end of its id; or the first event
        about a thing, by the thing's id. Reads the log where the first two do not fit."""
        try:
            return await self.get(part)
        except NotFound:
            events = [event async for event in self.list()]
            id = the_one(part, (event.id for event in events), "event")
            for event in events:
                if event.id == id or (id is None and event.subject_id == part):
                    return event
            raise

    async def tree(self, id: str | int) -> dict[str, Any]:
        """The whole story that an event belongs to: `event` and `children`, recursively."""
        return dict(await self._client.transport.get(self._path(str(id), "tree")))

    async def publish(
        self, type: str, data: Mapping[str, Any], *, id: str | None = None
    ) -> Published:
        """Append an event given as plain data; returns once it is durable in the log.

        `id` is the idempotency key: the same one again changes nothing and says `duplicate`.
        Raises `Refused` naming the field at fault, and for facts that a service owns.
        """
        from penstock_schemas import new_id  # noqa: PLC0415 - pydantic is slow to load

        answer = await self._client.transport.post(
            self._path(), {"type": type, "data": dict(data)}, {IDEMPOTENCY_HEADER: id or new_id()}
        )
        return Published(answer["id"], int(answer["sequence"]), bool(answer.get("duplicate")))

    def stream(
        self,
        *types: str,
        id: str | None = None,
        after: int | None = None,
        durable: str | None = None,
        timeout_seconds: float | None = None,
    ) -> AsyncIterator[RecordedEvent]:
        """The same as `client.subscribe`."""
        return self._client.subscribe(
            *types, id=id, after=after, durable=durable, timeout_seconds=timeout_seconds
        )

    def _path(self, *parts: str) -> str:
        quoted = (quote(part, safe="") for part in parts)
        return "/".join(["/v1", self._client.namespace, "event", *quoted])
