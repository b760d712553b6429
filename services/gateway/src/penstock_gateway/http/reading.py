"""Reads of rows, now or as they were: from the store, or folded again for a past moment."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime

from penstock_gateway.domain.documents import document_of, row_of
from penstock_gateway.domain.event_index import mark_of
from penstock_gateway.domain.projected import Page, Query, Standing, page_of
from penstock_gateway.domain.read_model import ALL, ReadModel
from penstock_gateway.domain.view import Row
from penstock_gateway.http.history import History
from penstock_gateway.supervisor.projector import Projector

ROWS_AT_ONCE = 1000
MARK_CANDIDATES_MAX = 16
"""Events looked at for one id: more than one share a mark only by chance, or by an id used
twice."""


class Reading:
    """What the API reads rows by. Raises `Unavailable` while the rows are being made anew."""

    def __init__(self, projector: Projector, history: History) -> None:
        self.projector = projector
        self._history = history
        self._store = projector.store

    async def page(
        self, query: Query, at: datetime | None = None, among: Collection[str] | None = None
    ) -> Page:
        """A page of rows; its standing says of which moment it is. Of all namespaces (`-`) those
        in `among` are shown, where it is given."""
        if among is not None and query.namespace == ALL:
            parts = [await self.page(replace(query, namespace=one), at) for one in sorted(among)]
            return _merged(parts, query.limit, self.projector.standing)
        await self.projector.shown()
        if not await self._past(at):
            page = await self._store.page(query)
            if _is_of(page.standing, at):
                return page
        assert at is not None
        return page_of(await self._history.at(at), query)

    async def find(
        self,
        namespace: str,
        noun: str,
        id: str,
        at: datetime | None = None,
        among: Collection[str] | None = None,
    ) -> Row | None:
        """One row; in all namespaces (`-`), or those `among` them, the youngest of that id."""
        if among is not None and namespace == ALL:
            found = [await self.find(one, noun, id, at) for one in sorted(among)]
            rows = [row for row in found if row is not None]
            return max(rows, key=lambda row: int(row["created_sequence"]), default=None)
        document = await self.document(namespace, noun, id, at)
        return None if document is None else row_of(document)

    async def document(
        self, namespace: str, noun: str, id: str, at: datetime | None = None
    ) -> bytes | None:
        """One row as JSON."""
        await self.projector.shown()
        if not await self._past(at):
            page = await self._store.find(noun, namespace, id)
            if _is_of(page.standing, at):
                return page.documents[0] if page.documents else None
        assert at is not None
        row = (await self._history.at(at)).find(namespace, noun, id)
        return None if row is None else document_of(row)

    async def model(
        self,
        namespace: str,
        nouns: Sequence[str],
        named: Sequence[tuple[str, str]],
        at: datetime | None = None,
    ) -> ReadModel:
        """A read model with all rows of some nouns in a namespace, and with some named ones
        (noun and id)."""
        if await self._past(at):
            assert at is not None
            return await self._history.at(at)
        model = ReadModel()
        for noun in nouns:
            rows: list[Row] = []
            query: Query | None = Query(noun, namespace, limit=ROWS_AT_ONCE)
            while query is not None:
                page = await self.page(query, at)
                rows += map(row_of, page.documents)
                before = page.next_before
                query = (
                    None
                    if before is None
                    else Query(noun, namespace, born_before=before, limit=ROWS_AT_ONCE)
                )
            model.rows[noun] = {(row["namespace"], row["id"]): row for row in reversed(rows)}
        for noun, id in named:
            row = await self.find(namespace, noun, id, at)
            if row is not None:
                model.rows.setdefault(noun, {})[row["namespace"], row["id"]] = row
        return model

    async def candidates(self, event_id: str) -> Sequence[int]:
        """Sequences at which an event of this id may stand, in order."""
        await self.projector.shown()
        return await self._store.events(mark_of(event_id), MARK_CANDIDATES_MAX)

    async def story(self, correlation_id: str, limit: int) -> Sequence[int]:
        """Sequences of what may belong to a story, in order."""
        await self.projector.shown()
        return await self._store.story(mark_of(correlation_id), limit)

    async def _past(self, at: datetime | None) -> bool:
        """Whether the rows have certainly moved on since a moment."""
        if at is None:
            return False
        log = self.projector.log
        await self.projector.reach(await log.head(self.projector.filters))
        time = self.projector.standing.time
        return time is not None and time > at


def _is_of(standing: Standing, at: datetime | None) -> bool:
    return at is None or standing.time is None or standing.time <= at


def _merged(parts: Sequence[Page], limit: int, empty: Standing) -> Page:
    """Pages of several namespaces as one: the newest of all, true of the earliest moment."""
    standing = min((part.standing for part in parts), key=lambda one: one.position, default=empty)
    found = [
        (int(row_of(document)["created_sequence"]), document)
        for part in parts
        for document in part.documents
    ]
    found.sort(key=lambda one: one[0], reverse=True)
    more = len(found) > limit or any(part.next_before is not None for part in parts)
    shown = found[:limit]
    return Page([one[1] for one in shown], standing, shown[-1][0] if more and shown else None)
