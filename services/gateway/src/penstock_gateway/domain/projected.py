"""What stores of rows and their users say to one another: where a projection stands, what a
batch of events changes in it, what a page of it is, and how two of them compare."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from penstock_gateway.domain.documents import document_of, row_of
from penstock_gateway.domain.event_index import IndexEntry
from penstock_gateway.domain.read_model import ReadModel, RowKey
from penstock_gateway.domain.view import Row

DIFFERENCES_LISTED_MAX = 20
_WHOLE = re.compile(r"-?([2-9]|[1-9][0-9]{1,14})")
"""Numbers that JSON writes in one way, or with `.0` behind."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Up to where the log is in one generation of the rows. Recorded with them in one
    transaction: it is the truth about them, at every moment and after every crash."""

    generation: int
    version: str
    """The version of the projection that makes it."""
    position: int = 0
    """The sequence of the last message in it."""
    time: datetime | None = None
    """When that message was stored."""
    mark: str = ""
    """Of that message (`message_mark`)."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What some messages, from the standing on and without gap, change."""

    position: int
    time: datetime
    mark: str
    rows: Mapping[RowKey, Row]
    """As they are after the last one."""
    index: Sequence[IndexEntry]


@dataclass(frozen=True, slots=True)
class Query:
    """Which rows: of a noun in a namespace (`-`: in all), born before a sequence, with columns
    equal to what a query writes as text. Newest first, at most `limit`."""

    noun: str
    namespace: str
    wanted: Mapping[str, str] = field(default_factory=dict)
    born_before: int = 2**53
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Page:
    """Documents, and where the projection stood when they were read."""

    documents: Sequence[bytes]
    standing: Standing
    next_before: int | None = None
    """`born_before` of the next page, None where this is the last."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A folded state to go on from: a cache, of one version, as the log stood at `position`."""

    version: str
    position: int
    mark: str
    document: bytes


@dataclass(frozen=True, slots=True)
class Difference:
    """A row that is not the same in two generations: each differing column with both values;
    `columns` is empty where one of them has no such row, which `problem` says."""

    key: RowKey
    problem: str
    columns: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What stood against what was rebuilt, at one position."""

    position: int
    rows: int
    events: int
    """Of the rebuilt."""
    different_rows: int
    different_events: int
    differences: Sequence[Difference]
    """The first ones."""

    @property
    def equal(self) -> bool:
        """Whether they are the same, field for field."""
        return self.different_rows == self.different_events == 0


def difference(key: RowKey, live: bytes | None, rebuilt: bytes | None) -> Difference:
    """How one row differs."""
    if live is None or rebuilt is None:
        where = "not in the rebuilt rows" if rebuilt is None else "not in the live rows"
        return Difference(key, where)
    before, after = row_of(live), row_of(rebuilt)
    names = [*before, *(name for name in after if name not in before)]
    columns = {
        name: (before.get(name), after.get(name))
        for name in names
        if before.get(name) != after.get(name) or (name in before) != (name in after)
    }
    return Difference(key, "columns differ" if columns else "the order of columns differs", columns)


def matches(row: Row, wanted: Mapping[str, str]) -> bool:
    """Whether a row's columns equal what a query writes as text."""
    return all(_equal(row[column], text) for column, text in wanted.items())


def _equal(value: Any, text: str) -> bool:
    """Whether a column has the value that the query writes as text; a column without a value
    equals the empty text."""
    if value is None:
        return text in ("", "null")
    if isinstance(value, str):
        return value == text
    try:
        return bool(orjson.loads(text) == value)
    except orjson.JSONDecodeError:
        return False


def needles(column: str, text: str) -> tuple[bytes, ...] | None:
    """Bytes of which a row's document holds one wherever the column equals the text (`matches`),
    so that others need not be read; None where no bytes tell."""
    name = orjson.dumps(column) + b":"
    texts = (name + orjson.dumps(text),)
    if text in ("", "null"):
        return None  # what has no value equals them too
    if _WHOLE.fullmatch(text):
        return (*texts, name + text.encode())  # 9 begins 9 and 9.0, and much that is read in vain
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return texts
    return None  # 1 equals true, 1e2 equals 100


def page_of(model: ReadModel, query: Query, generation: int = 0, version: str = "") -> Page:
    """The page of a read model in memory."""
    standing = Standing(generation, version, model.position, model.time)
    found: list[Row] = []
    for row in model.newest_first(query.namespace, query.noun):
        if row["created_sequence"] < query.born_before and matches(row, query.wanted):
            if len(found) == query.limit:
                return Page(_documents(found), standing, found[-1]["created_sequence"])
            found.append(row)
    return Page(_documents(found), standing)


def _documents(rows: Sequence[Row]) -> list[bytes]:
    return [document_of(row) for row in rows]
