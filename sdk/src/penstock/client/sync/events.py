# Generated from client/aio by generate_sync.py; edit that, and run it again.
"""`client.event`: the log itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from penstock.client.errors import NotFound
from penstock.client.matching import the_one
from penstock.client.records import Published, RecordedEvent, read_event, write_time
from penstock.client.sync.lists import Events
from penstock.client.sync.noun import Moment

if TYPE_CHECKING:
    from penstock.client.sync.client import Client

IDEMPOTENCY_HEADER = "Idempotency-Key"


class EventLog:
    """Recorded events: read, follow, publish."""

    noun = "event"

    def __init__(self, client: Client) -> None:
        self._client = client

    def list(
        self,
        *types: str,
        id: str | None = None,
        after: int | None = None,
        since: Moment = None,
        limit: int | None = None,
    ) -> Events:
        """Events in order: of `types` (`job.placed`, `job.*`, `*.rejected`), about the thing `id`,
        after a sequence, since a time; the first `limit` of them."""
        given = {"id": id, "after": after, "since": write_time(since)}
        return Events(self._client.transport, self._path(), types, given, limit)

    def get(self, id: str | int) -> RecordedEvent:
        """One event, by its id or its sequence. Raises `NotFound`."""
        return read_event(self._client.transport.get(self._path(str(id))))

    def find(self, part: str) -> RecordedEvent:
        """One event by its id, its sequence, or the beginning or end of its id; or the first event
        about a thing, by the thing's id. Reads the log where the first two do not fit."""
        try:
            return self.get(part)
        except NotFound:
            events = list(self.list())
            id = the_one(part, (event.id for event in events), "event")
            for event in events:
                if event.id == id or (id is None and event.subject_id == part):
                    return event
            raise

    def tree(self, id: str | int) -> dict[str, Any]:
        """The whole story that an event belongs to: `event` and `children`, recursively."""
        return dict(self._client.transport.get(self._path(str(id), "tree")))

    def publish(self, type: str, data: Mapping[str, Any], *, id: str | None = None) -> Published:
        """Append an event given as plain data; returns once it is durable in the log.

        `id` is the idempotency key: the same one again changes nothing and says `duplicate`.
        Raises `Refused` naming the field at fault, and for facts that a service owns.
        """
        from penstock_schemas import new_id  # noqa: PLC0415 - pydantic is slow to load

        answer = self._client.transport.post(
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
    ) -> Iterator[RecordedEvent]:
        """The same as `client.subscribe`."""
        return self._client.subscribe(
            *types, id=id, after=after, durable=durable, timeout_seconds=timeout_seconds
        )

    def _path(self, *parts: str) -> str:
        quoted = (quote(part, safe="") for part in parts)
        return "/".join(["/v1", self._client.namespace, "event", *quoted])
