"""`RowStore` in memory: the fake of the tests. It lives as long as the object, not the process's
services: what is handed to a service that starts anew is what a database would still hold."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from penstock_gateway.domain.documents import document_of, row_of
from penstock_gateway.domain.event_index import IndexEntry
from penstock_gateway.domain.projected import (
    DIFFERENCES_LISTED_MAX,
    Batch,
    Checkpoint,
    Comparison,
    Page,
    Query,
    Standing,
    difference,
    page_of,
)
from penstock_gateway.domain.read_model import ReadModel, RowKey
from penstock_gateway.domain.view import Row
from penstock_gateway.errors import Superseded


@dataclass
class _Generation:
    standing: Standing
    model: ReadModel = field(default_factory=ReadModel)
    index: list[IndexEntry] = field(default_factory=list)


class MemoryRows:
    """Generations as read models. Its calls never wait: each is one transaction by nature."""

    def __init__(self) -> None:
        self._generations: dict[int, _Generation] = {}
        self._live = 0
        self._last = 0
        self._checkpoints: dict[str, Checkpoint] = {}

    async def open(self) -> None:
        """See `RowStore.open`."""

    async def close(self) -> None:
        """See `RowStore.close`."""

    async def live(self) -> Standing | None:
        """See `RowStore.live`."""
        return self._generations[self._live].standing if self._live else None

    async def reset(self, version: str, before: Standing | None) -> Standing:
        """See `RowStore.reset`."""
        if await self.live() != before:
            raise Superseded("the live rows are not what they were")
        self._generations.clear()
        made = self._new(version)
        self._live = made.generation
        return made

    async def begin(self, version: str) -> Standing:
        """See `RowStore.begin`."""
        self._generations = {n: g for n, g in self._generations.items() if n == self._live}
        return self._new(version)

    def _new(self, version: str) -> Standing:
        self._last += 1
        made = Standing(self._last, version)
        self._generations[self._last] = _Generation(made)
        return made

    async def load(self, generation: int, keys: Iterable[RowKey]) -> dict[RowKey, Row]:
        """See `RowStore.load`."""
        held = self._generations.get(generation)
        if held is None:
            return {}
        found = {key: held.model.row(key) for key in keys}
        # As a database would: what comes back is JSON, and no reference to what is kept.
        return {key: row_of(document_of(row)) for key, row in found.items() if row is not None}

    async def commit(self, before: Standing, batch: Batch) -> Standing:
        """See `RowStore.commit`."""
        held = self._at(before)
        for key, row in batch.rows.items():
            held.model.put(key, row_of(document_of(row)))
        held.index += batch.index
        held.model.position, held.model.time = batch.position, batch.time
        held.standing = replace(before, position=batch.position, time=batch.time, mark=batch.mark)
        return held.standing

    def _at(self, standing: Standing) -> _Generation:
        held = self._generations.get(standing.generation)
        if held is None or held.standing != standing:
            raise Superseded(f"generation {standing.generation} has moved on")
        return held

    async def replace(self, live: Standing, rebuilt: Standing) -> Comparison:
        """See `RowStore.replace`."""
        one, other = self._at(live), self._at(rebuilt)
        if self._live != live.generation:
            raise Superseded("other rows are live now")
        compared = _compare(one, other)
        self._live = rebuilt.generation
        del self._generations[live.generation]
        return compared

    async def page(self, query: Query) -> Page:
        """See `RowStore.page`."""
        held = self._generations[self._live]
        return replace(page_of(held.model, query), standing=held.standing)

    async def find(self, noun: str, namespace: str, id: str) -> Page:
        """See `RowStore.find`."""
        held = self._generations[self._live]
        row = held.model.find(namespace, noun, id)
        return Page([] if row is None else [document_of(row)], held.standing)

    async def events(self, id_mark: int, limit: int) -> Sequence[int]:
        """See `RowStore.events`."""
        index = self._generations[self._live].index
        return [entry.sequence for entry in index if entry.id_mark == id_mark][:limit]

    async def story(self, story_mark: int, limit: int) -> Sequence[int]:
        """See `RowStore.story`."""
        index = self._generations[self._live].index
        return [entry.sequence for entry in index if entry.story_mark == story_mark][:limit]

    async def count(self) -> Mapping[str, int]:
        """See `RowStore.count`."""
        rows = self._generations[self._live].model.rows
        return {noun: len(rows[noun]) for noun in sorted(rows)}

    async def save(self, name: str, make: Callable[[], Checkpoint]) -> None:
        """See `RowStore.save`."""
        checkpoint = make()
        kept = self._checkpoints.get(name)
        if kept and kept.version == checkpoint.version and kept.position > checkpoint.position:
            return
        self._checkpoints[name] = checkpoint

    async def saved(self, name: str) -> Checkpoint | None:
        """See `RowStore.saved`."""
        return self._checkpoints.get(name)


def _documents(held: _Generation) -> dict[RowKey, bytes]:
    return {
        RowKey(noun, *key): document_of(row)
        for noun, rows in held.model.rows.items()
        for key, row in rows.items()
    }


def _compare(live: _Generation, rebuilt: _Generation) -> Comparison:
    before, after = _documents(live), _documents(rebuilt)
    keys = sorted({*before, *after})
    different = [key for key in keys if before.get(key) != after.get(key)]
    return Comparison(
        position=rebuilt.standing.position,
        rows=len(after),
        events=len(rebuilt.index),
        different_rows=len(different),
        different_events=len(set(live.index) ^ set(rebuilt.index)),
        differences=[
            difference(key, before.get(key), after.get(key))
            for key in different[:DIFFERENCES_LISTED_MAX]
        ],
    )
