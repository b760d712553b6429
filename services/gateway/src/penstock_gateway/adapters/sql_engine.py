"""What a SQL database must offer to keep rows: transactions run off the event loop.

Both databases are reached by their blocking drivers in threads of their own: one that writes, a
few that read. One body of statements then serves both, a transaction is one plain function, and
a slow disk or network never holds up the event loop.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from penstock_chassis.errors import Unavailable

T = TypeVar("T")

READERS_MAX = 2
"""Threads that read, each with its own connection."""


class Cursor(Protocol):
    """The part of the DB-API that is needed."""

    @property
    def rowcount(self) -> int:
        """How many rows the last statement changed."""
        ...

    def execute(self, statement: str, parameters: Sequence[Any] = ...) -> Any:
        """Run one statement."""
        ...

    def executemany(self, statement: str, parameters: Sequence[Sequence[Any]]) -> Any:
        """Run one statement for each of several parameters."""
        ...

    def fetchall(self) -> list[Any]:
        """What it gave."""
        ...

    def fetchone(self) -> Any:
        """The first row that it gave, or None."""
        ...


Work = Callable[[Cursor], T]


class Driver(Protocol):
    """One kind of database. Its functions run in a thread and may block."""

    kind: str
    """Of which it is, for people."""
    integer: str
    """The type of a 64-bit integer."""
    document: str
    """The type of a JSON document."""
    empty: str
    """How a statement begins that removes all rows of a table."""
    contains: str
    """The condition that a document holds some bytes, the parameter."""
    clustered: str
    """Said behind a table that is kept in the order of its primary key."""

    def connect(self, *, writes: bool) -> Any:
        """A new connection."""
        ...

    def write(self, connection: Any, work: Work[T]) -> T:
        """Run in one transaction: committed, or as if it had never been."""
        ...

    def read(self, connection: Any, work: Work[T]) -> T:
        """Run on one consistent snapshot."""
        ...

    def lock(self, cursor: Cursor) -> None:
        """Within a transaction: keep others from changing tables until it ends."""
        ...

    def sql(self, statement: str) -> str:
        """A statement with `?` for its parameters, in the database's own way."""
        ...

    def to_document(self, document: bytes) -> Any:
        """A document as the driver wants it."""
        ...

    def is_outage(self, error: Exception) -> bool:
        """Whether the error says that the database is not there, rather than of a defect."""
        ...


class Engine:
    """Runs work on a database in threads; a connection that failed is made anew."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self._writer = ThreadPoolExecutor(1, "rows-write")
        self._readers = ThreadPoolExecutor(READERS_MAX, "rows-read")
        self._here = threading.local()
        self._open: list[Any] = []

    async def write(self, work: Work[T]) -> T:
        """Run in one transaction. Raises `Unavailable`: it may then stand or not."""
        return await self._run(self._writer, work, writes=True)

    async def read(self, work: Work[T]) -> T:
        """Run on one snapshot. Raises `Unavailable`."""
        return await self._run(self._readers, work, writes=False)

    async def close(self) -> None:
        """Finish what is in hand and disconnect."""
        for pool in (self._readers, self._writer):
            await asyncio.to_thread(pool.shutdown)
        while self._open:
            self._open.pop().close()

    async def _run(self, pool: ThreadPoolExecutor, work: Work[T], *, writes: bool) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(pool, self._blocking, work, writes)

    def _blocking(self, work: Work[T], writes: bool) -> T:
        driver = self.driver
        try:
            connection = getattr(self._here, "connection", None)
            if connection is None:
                connection = self._here.connection = driver.connect(writes=writes)
                self._open.append(connection)
            return (driver.write if writes else driver.read)(connection, work)
        except Exception as error:
            if not driver.is_outage(error):
                raise
            self._drop()
            raise Unavailable(f"the {driver.kind} of the read model: {error}") from error

    def _drop(self) -> None:
        connection, self._here.connection = getattr(self._here, "connection", None), None
        if connection is not None:
            self._open.remove(connection)
            connection.close()
