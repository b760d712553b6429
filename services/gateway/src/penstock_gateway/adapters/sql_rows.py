"""`RowStore` in SQL: one body of statements for SQLite and PostgreSQL.

Every change begins by moving the position of its generation from where its maker thinks that it
is: where it is not, nothing is written (`Superseded`). In PostgreSQL that update also holds the
generation's row until the end of the transaction, so that commits come one after another.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Any

from penstock_gateway.adapters.sql_compare import compare
from penstock_gateway.adapters.sql_engine import Cursor, Engine
from penstock_gateway.adapters.sql_filters import conditions_of, indexable
from penstock_gateway.adapters.sql_schema import (
    CHECKPOINTS,
    EVENTS,
    FORMAT,
    FORMATS,
    INDEX_COLUMNS,
    PROJECTIONS,
    ROWS,
    create,
    create_format,
    drop,
)
from penstock_gateway.domain.documents import document_of, row_of
from penstock_gateway.domain.projected import (
    Batch,
    Checkpoint,
    Comparison,
    Page,
    Query,
    Standing,
    matches,
)
from penstock_gateway.domain.read_model import ALL, RowKey
from penstock_gateway.domain.view import Row, utc_text
from penstock_gateway.errors import Superseded

KEYS_IN_STATEMENT_MAX = 250
ROWS_SCANNED_AT_ONCE = 500
"""Rows fetched at a time where a filter has no index."""

_COLUMNS = (
    "generation",
    "noun",
    "namespace",
    "id",
    "born",
    "changed",
    "status",
    *INDEX_COLUMNS,
    "document",
)
_STANDING = f"SELECT generation, version, position, time, mark FROM {PROJECTIONS}"  # noqa: S608
_UPSERT = (
    f"INSERT INTO {ROWS} ({', '.join(_COLUMNS)}) "  # noqa: S608
    f"VALUES ({', '.join('?' * len(_COLUMNS))}) "
    "ON CONFLICT (generation, noun, namespace, id) DO UPDATE SET "
    + ", ".join(f"{column} = excluded.{column}" for column in _COLUMNS[5:])
)


class SqlRows:
    """The rows in one database. `indexed` says for each noun which columns have an index."""

    def __init__(self, engine: Engine, indexed: Mapping[str, tuple[str, ...]]) -> None:
        self._engine = engine
        self._driver = engine.driver
        self._indexed = {
            noun: dict(zip(columns, INDEX_COLUMNS, strict=False))
            for noun, columns in indexed.items()
        }

    async def open(self) -> None:
        """See `RowStore.open`."""
        await self._engine.write(self._prepare)

    def _prepare(self, cursor: Cursor) -> None:
        self._driver.lock(cursor)
        self._run(cursor, create_format(self._driver))
        found = self._one(cursor, f"SELECT format FROM {FORMATS}")  # noqa: S608
        if found is None or found[0] != FORMAT:
            self._all(cursor, [*drop(), *create(self._driver)])
            self._run(cursor, f"INSERT INTO {FORMATS} VALUES (?)", FORMAT)  # noqa: S608

    async def close(self) -> None:
        """See `RowStore.close`."""
        await self._engine.close()

    async def live(self) -> Standing | None:
        """See `RowStore.live`."""
        return await self._engine.read(self._live)

    async def reset(self, version: str, before: Standing | None) -> Standing:
        """See `RowStore.reset`."""

        def work(cursor: Cursor) -> Standing:
            self._driver.lock(cursor)
            if self._live(cursor) != before:
                raise Superseded("the live rows are not what they were")
            next = self._next_generation(cursor)
            for table in (ROWS, EVENTS, PROJECTIONS):
                self._run(cursor, f"{self._driver.empty} {table}")
            return self._insert(cursor, Standing(next, version), live=True)

        return await self._engine.write(work)

    async def begin(self, version: str) -> Standing:
        """See `RowStore.begin`."""

        def work(cursor: Cursor) -> Standing:
            self._driver.lock(cursor)
            self._run(cursor, f"SELECT generation FROM {PROJECTIONS} WHERE live = 0")  # noqa: S608
            for (generation,) in cursor.fetchall():
                self._forget(cursor, generation)
            return self._insert(
                cursor, Standing(self._next_generation(cursor), version), live=False
            )

        return await self._engine.write(work)

    def _next_generation(self, cursor: Cursor) -> int:
        last = self._one(cursor, f"SELECT max(generation) FROM {PROJECTIONS}")  # noqa: S608
        return int(last[0] or 0) + 1

    def _insert(self, cursor: Cursor, standing: Standing, *, live: bool) -> Standing:
        self._run(
            cursor,
            f"INSERT INTO {PROJECTIONS} VALUES (?, ?, ?, ?, ?, ?)",  # noqa: S608
            standing.generation,
            int(live),
            standing.version,
            standing.position,
            None,
            standing.mark,
        )
        return standing

    def _forget(self, cursor: Cursor, generation: int) -> None:
        for table in (ROWS, EVENTS, PROJECTIONS):
            self._run(cursor, f"DELETE FROM {table} WHERE generation = ?", generation)  # noqa: S608

    async def load(self, generation: int, keys: Iterable[RowKey]) -> dict[RowKey, Row]:
        """See `RowStore.load`."""
        wanted = iter(sorted(set(keys)))
        parts = list(iter(lambda: list(islice(wanted, KEYS_IN_STATEMENT_MAX)), []))

        def work(cursor: Cursor) -> dict[RowKey, Row]:
            found: dict[RowKey, Row] = {}
            for part in parts:
                places = ", ".join(["(?, ?, ?)"] * len(part))
                # CROSS JOIN: SQLite keeps the order, so that each key is one look into the index.
                self._run(
                    cursor,
                    f"WITH wanted (noun, namespace, id) AS (VALUES {places}) "  # noqa: S608
                    "SELECT r.noun, r.namespace, r.id, r.document "
                    f"FROM wanted w CROSS JOIN {ROWS} r WHERE r.generation = ? "
                    "AND r.noun = w.noun AND r.namespace = w.namespace AND r.id = w.id",
                    *(text for key in part for text in key),
                    generation,
                )
                for noun, namespace, id, document in cursor.fetchall():
                    found[RowKey(noun, namespace, id)] = self._row(document)
            return found

        return await self._engine.read(work) if parts else {}

    async def commit(self, before: Standing, batch: Batch) -> Standing:
        """See `RowStore.commit`."""
        after = replace(before, position=batch.position, time=batch.time, mark=batch.mark)

        def work(cursor: Cursor) -> Standing:
            # 1. The position moves from where we think it is, or nothing happens.
            self._move(cursor, before, after)
            # 2. The rows as they are now, and where the events stand.
            if batch.rows:
                rows = [self._values(before.generation, *item) for item in batch.rows.items()]
                cursor.executemany(self._driver.sql(_UPSERT), rows)
            if batch.index:
                entries = [(before.generation, *entry) for entry in batch.index]
                statement = f"INSERT INTO {EVENTS} VALUES (?, ?, ?, ?)"  # noqa: S608
                cursor.executemany(self._driver.sql(statement), entries)
            return after

        return await self._engine.write(work)

    def _move(self, cursor: Cursor, before: Standing, after: Standing) -> None:
        self._run(
            cursor,
            f"UPDATE {PROJECTIONS} SET position = ?, time = ?, mark = ? "  # noqa: S608
            "WHERE generation = ? AND position = ? AND mark = ?",
            after.position,
            utc_text(after.time) if after.time else None,
            after.mark,
            before.generation,
            before.position,
            before.mark,
        )
        if cursor.rowcount != 1:
            raise Superseded(
                f"generation {before.generation} does not stand at {before.position} any more"
            )

    def _values(self, generation: int, key: RowKey, row: Row) -> Sequence[Any]:
        places = self._indexed.get(key.noun, {})
        indexed = dict.fromkeys(INDEX_COLUMNS)
        indexed |= {place: indexable(row[column]) for column, place in places.items()}
        born, changed, status = row["created_sequence"], row["sequence"], indexable(row["status"])
        document = self._driver.to_document(document_of(row))
        return (generation, *key, born, changed, status, *indexed.values(), document)

    async def replace(self, live: Standing, rebuilt: Standing) -> Comparison:
        """See `RowStore.replace`."""

        def work(cursor: Cursor) -> Comparison:
            # 1. Neither moves any more until we are done.
            for standing in (live, rebuilt):
                self._move(cursor, standing, standing)
            # 2. Compare, show the rebuilt, drop the other.
            found = compare(self._driver, cursor, live, rebuilt)
            self._forget(cursor, live.generation)
            self._run(
                cursor,
                f"UPDATE {PROJECTIONS} SET live = 1 WHERE generation = ?",  # noqa: S608
                rebuilt.generation,
            )
            return found

        return await self._engine.write(work)

    async def page(self, query: Query) -> Page:
        """See `RowStore.page`."""
        return await self._engine.read(lambda cursor: self._page(cursor, query))

    def _page(self, cursor: Cursor, query: Query) -> Page:
        standing = self._standing(cursor)
        conditions, values, told = conditions_of(
            query, self._indexed.get(query.noun, {}), self._driver
        )
        found: list[tuple[int, bytes]] = []
        before, batch = query.born_before, query.limit + 1
        if not told:  # most rows read will not be among those wanted
            batch = max(batch, ROWS_SCANNED_AT_ONCE)
        while len(found) <= query.limit:
            self._run(
                cursor,
                f"SELECT born, document FROM {ROWS} WHERE generation = ? AND noun = ? "  # noqa: S608
                f"{''.join(conditions)} AND born < ? ORDER BY born DESC LIMIT ?",
                standing.generation,
                query.noun,
                *values,
                before,
                batch,
            )
            rows = [(born, _bytes(document)) for born, document in cursor.fetchall()]
            found += [
                item for item in rows if not query.wanted or matches(row_of(item[1]), query.wanted)
            ]
            if len(rows) < batch:
                break
            before = rows[-1][0]
        shown = found[: query.limit]
        further = shown[-1][0] if len(found) > query.limit else None
        return Page([document for _, document in shown], standing, further)

    async def find(self, noun: str, namespace: str, id: str) -> Page:
        """See `RowStore.find`."""
        everywhere = namespace == ALL

        def work(cursor: Cursor) -> Page:
            standing = self._standing(cursor)
            where = "id = ?" if everywhere else "namespace = ? AND id = ?"
            self._run(
                cursor,
                f"SELECT document FROM {ROWS} WHERE generation = ? AND noun = ? AND {where} "  # noqa: S608
                "ORDER BY born DESC LIMIT 1",
                standing.generation,
                noun,
                *([id] if everywhere else [namespace, id]),
            )
            return Page([_bytes(document) for (document,) in cursor.fetchall()], standing)

        return await self._engine.read(work)

    async def events(self, id_mark: int, limit: int) -> Sequence[int]:
        """See `RowStore.events`."""
        return await self._sequences("id_mark", id_mark, limit)

    async def story(self, story_mark: int, limit: int) -> Sequence[int]:
        """See `RowStore.story`."""
        return await self._sequences("story_mark", story_mark, limit)

    async def _sequences(self, column: str, mark: int, limit: int) -> Sequence[int]:
        def work(cursor: Cursor) -> Sequence[int]:
            self._run(
                cursor,
                f"SELECT sequence FROM {EVENTS} WHERE generation = ? AND {column} = ? "  # noqa: S608
                "ORDER BY sequence LIMIT ?",
                self._standing(cursor).generation,
                mark,
                limit,
            )
            return [sequence for (sequence,) in cursor.fetchall()]

        return await self._engine.read(work)

    async def count(self) -> Mapping[str, int]:
        """See `RowStore.count`."""

        def work(cursor: Cursor) -> Mapping[str, int]:
            self._run(
                cursor,
                f"SELECT noun, count(*) FROM {ROWS} WHERE generation = ? "  # noqa: S608
                "GROUP BY noun ORDER BY noun",
                self._standing(cursor).generation,
            )
            return dict(cursor.fetchall())

        return await self._engine.read(work)

    async def save(self, name: str, make: Callable[[], Checkpoint]) -> None:
        """See `RowStore.save`."""

        def work(cursor: Cursor) -> None:
            checkpoint = make()
            self._run(
                cursor,
                f"INSERT INTO {CHECKPOINTS} AS kept VALUES (?, ?, ?, ?, ?) "  # noqa: S608
                "ON CONFLICT (name) DO UPDATE SET version = excluded.version, "
                "position = excluded.position, mark = excluded.mark, document = excluded.document "
                "WHERE kept.version <> excluded.version OR kept.position <= excluded.position",
                name,
                checkpoint.version,
                checkpoint.position,
                checkpoint.mark,
                self._driver.to_document(checkpoint.document),
            )

        await self._engine.write(work)

    async def saved(self, name: str) -> Checkpoint | None:
        """See `RowStore.saved`."""

        def work(cursor: Cursor) -> Checkpoint | None:
            found = self._one(
                cursor,
                f"SELECT version, position, mark, document FROM {CHECKPOINTS} WHERE name = ?",  # noqa: S608
                name,
            )
            if found is None:
                return None
            version, position, mark, document = found
            return Checkpoint(version, position, mark, _bytes(document))

        return await self._engine.read(work)

    def _standing(self, cursor: Cursor) -> Standing:
        standing = self._live(cursor)
        assert standing is not None, "rows are asked for once there is a live generation"
        return standing

    def _live(self, cursor: Cursor) -> Standing | None:
        found = self._one(cursor, f"{_STANDING} WHERE live = 1")
        if found is None:
            return None
        generation, version, position, time, mark = found
        stored_at = datetime.fromisoformat(time) if time else None
        return Standing(generation, version, position, stored_at, mark)

    def _row(self, document: Any) -> Row:
        return row_of(_bytes(document))

    def _run(self, cursor: Cursor, statement: str, *values: Any) -> None:
        cursor.execute(self._driver.sql(statement), values)

    def _one(self, cursor: Cursor, statement: str, *values: Any) -> Any:
        self._run(cursor, statement, *values)
        return cursor.fetchone()

    def _all(self, cursor: Cursor, statements: Iterable[str]) -> None:
        for statement in statements:
            self._run(cursor, statement)


def _bytes(document: Any) -> bytes:
    return document.encode() if isinstance(document, str) else bytes(document)
