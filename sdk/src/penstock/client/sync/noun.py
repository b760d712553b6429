# Generated from client/aio by generate_sync.py; edit that, and run it again.
"""What every noun of the platform has in common: list, get, find, wait."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from penstock.client.endings import WAITABLE, Ending, ending, ending_types
from penstock.client.errors import NotFound, Refused
from penstock.client.matching import the_one
from penstock.client.records import Row, Wish, write_time
from penstock.client.sync.lists import Rows
from penstock.client.sync.transport import Transport

if TYPE_CHECKING:
    from penstock.client.sync.client import Client
    from penstock_schemas import Event

Moment = datetime | str | None
"""A datetime, or RFC 3339 text; None for now."""


class Noun:
    """The things of one noun in the client's namespace, as the platform's views show them."""

    noun: str
    namespace: str | None = None
    """Where the noun's things live, where that is not the client's namespace."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def list(self, *, at: Moment = None, limit: int | None = None, **filters: Any) -> Rows:
        """The rows now, or as they were at a time; filters are columns.

        `client.job.list(status="running", at="2026-11-24T10:00:00Z")`
        """
        return Rows(self._transport, self._path(), {**filters, "at": write_time(at)}, limit)

    def get(self, id: str, *, at: Moment = None) -> Row:
        """One row. Raises `NotFound`, which says whether it ever was."""
        return Row(self._transport.get(self._path(id), {"at": write_time(at)}))

    def declared(self, name: str, *, at: Moment = None) -> dict[str, Any]:
        """What is declared of a thing, as `fields`: its last wish that was neither refused nor
        withdrawn; `refusal` says why a later one was refused.

        Raises `NotFound` where nothing is, or nothing of this noun can be declared.
        """
        path = self._path(name, "declaration")
        return dict(self._transport.get(path, {"at": write_time(at)}))

    def find(self, part: str, *, at: Moment = None) -> Row:
        """One row by its id, or by the beginning or end of it where only one has that.

        Raises `NotFound`, and `Ambiguous` where several have it.
        """
        try:
            return self.get(part, at=at)
        except NotFound:
            ids = [row.id for row in self.list(at=at)]
            id = the_one(part, ids, self.noun)
            if id is None:
                raise
        return self.get(id, at=at)

    def wait(
        self, id: str, *, after: int | None = None, timeout_seconds: float | None = None
    ) -> Ending:
        """Wait until the thing has ended, well or not; no polling.

        `after` is the log's sequence of the request where the thing may have ended before under
        the same name (`Wish.sequence`); without it an end that is already recorded counts.
        Raises `TimedOut`.
        """
        if self.noun not in WAITABLE:
            raise Refused(f"a {self.noun} has no end to wait for")
        if after is None:
            after = self._birth(id)
        stream = self._client.subscribe(
            *ending_types(self.noun), after=after, timeout_seconds=timeout_seconds
        )
        for event in stream:
            found = ending(self.noun, id, event)
            if found is not None:
                return found
        raise AssertionError("a stream of events ends by an error alone")

    def _birth(self, id: str) -> int:
        """A sequence before the thing's first event; 0 where it has none yet."""
        for event in self._client.event.list(f"{self.noun}.*", id=id, limit=1):
            return event.sequence - 1
        return 0

    @property
    def _transport(self) -> Transport:
        return self._client.transport

    def _path(self, *parts: str) -> str:
        namespace = self._client.namespace
        if self.namespace is not None and namespace != "-":
            namespace = self.namespace
        return "/".join(["/v1", namespace, self.noun, *(quote(part, safe="") for part in parts)])

    def _ask(self, event: Event) -> Wish:
        """Publish a wish and say how to wait for what comes of it."""
        published = self._client.publish(event)
        return Wish(event.noun(), event.id, published.sequence)
