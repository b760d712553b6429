# Generated from client/aio by generate_sync.py; edit that, and run it again.
"""Lists that fetch their next page by themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from penstock.client.matching import server_type, wanted
from penstock.client.records import RecordedEvent, Row, read_event
from penstock.client.sync.transport import Transport

PAGE_ROWS = 500


class Rows:
    """The rows of a view, all of them true at one position of the log.

    Iterate over it, or take `all()`. `position` and `at` are known once the first page is there.
    """

    def __init__(
        self, transport: Transport, path: str, params: Mapping[str, Any], limit: int | None
    ) -> None:
        self._transport = transport
        self._path = path
        self._params = dict(params)
        self._limit = limit
        self.position: int | None = None
        """The log's sequence that the rows are true at."""
        self.at: str | None = None
        """The time that was asked about (RFC 3339); None for now."""

    def __iter__(self) -> Iterator[Row]:
        cursor, left = None, self._limit
        while left is None or left > 0:
            size = PAGE_ROWS if left is None else min(left, PAGE_ROWS)
            page = self._transport.get(
                self._path, {**self._params, "limit": size, "cursor": cursor}
            )
            self.position, self.at = page.get("position"), page.get("at")
            for row in page["items"][:left]:
                yield Row(row)
            left = None if left is None else left - len(page["items"])
            cursor = page.get("next")
            if not cursor:
                return

    def all(self) -> list[Row]:
        """Every row."""
        return list(self)


class Events:
    """Recorded events in order, up to the end that the log had when each page was read."""

    def __init__(
        self,
        transport: Transport,
        path: str,
        types: Sequence[str],
        params: Mapping[str, Any],
        limit: int | None,
    ) -> None:
        self._transport = transport
        self._path = path
        self._types = types
        self._params = dict(params)
        self._limit = limit
        self.position: int | None = None
        """The log's last sequence when the newest page was read."""

    def __iter__(self) -> Iterator[RecordedEvent]:
        given, after = 0, int(self._params.get("after") or 0)
        while self._limit is None or given < self._limit:
            asked = {"type": server_type(self._types), "after": after, "limit": PAGE_ROWS}
            page = self._transport.get(self._path, {**self._params, **asked})
            self.position = page.get("position")
            for raw in page["items"]:
                event = read_event(raw)
                after = max(after, event.sequence)
                if wanted(event, self._types, self._params.get("id")):
                    given += 1
                    yield event
                    if given == self._limit:
                        return
            if len(page["items"]) < PAGE_ROWS:
                return

    def all(self) -> list[RecordedEvent]:
        """Every event."""
        return list(self)
