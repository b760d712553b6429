"""The read model in a SQLite file: the embedded platform's.

The file is a cache of the log in WAL mode, synced at checkpoints only: a power cut may lose the
last transactions, whole, and the projection goes on from the position that is left.
"""

import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog

from penstock_gateway.adapters.sql_engine import Cursor, Engine, T, Work
from penstock_gateway.adapters.sql_rows import SqlRows

BUSY_SECONDS = 10.0
BUSY_PAUSE_SECONDS = 0.01
CHECKPOINT_PAGES = 4000
"""Of the write-ahead log, before it is moved into the file and synced."""
CACHE_KIB = 8192
"""Pages that a connection keeps; the operating system caches the file as well."""
_DAMAGED = ("malformed", "not a database", "disk image")
_SUFFIXES = ("", "-wal", "-shm")

log = structlog.get_logger("penstock.gateway")


class SqliteDriver:
    """`Driver` on one file, made where it is not there; a damaged one is thrown away."""

    kind = "SQLite file"
    integer = "INTEGER"
    document = "BLOB"
    empty = "DELETE FROM"
    contains = "instr(document, ?) > 0"
    clustered = "WITHOUT ROWID"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._damaged = path.with_name(f"{path.name}.damaged")
        """Stands beside a file that was found damaged, until the next start throws both away."""

    def connect(self, *, writes: bool) -> sqlite3.Connection:
        """See `Driver.connect`."""
        if writes:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if self._damaged.exists():
                self._throw_away()
        try:
            return self._connect()
        except sqlite3.DatabaseError as error:
            if not writes or not _tells_damage(error):
                raise
            self._throw_away()
            return self._connect()

    def _throw_away(self) -> None:
        log.warning("read model file is damaged, made anew", file=self._path.name)
        for suffix in _SUFFIXES:
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        self._damaged.unlink(missing_ok=True)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            _use_write_ahead_log(connection)
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.DatabaseError:
            connection.close()
            raise
        return connection

    def write(self, connection: Any, work: Work[T]) -> T:
        """See `Driver.write`."""
        return self._run(connection, "BEGIN IMMEDIATE", work)

    def read(self, connection: Any, work: Work[T]) -> T:
        """See `Driver.read`."""
        return self._run(connection, "BEGIN", work)

    def _run(self, connection: sqlite3.Connection, begin: str, work: Work[T]) -> T:
        cursor = connection.cursor()
        cursor.execute(begin)
        try:
            result = work(cursor)
            cursor.execute("COMMIT")
        except BaseException as error:
            if isinstance(error, sqlite3.DatabaseError) and _tells_damage(error):
                self._damaged.touch()
            if connection.in_transaction:
                cursor.execute("ROLLBACK")
            raise
        return result

    def lock(self, cursor: Cursor) -> None:
        """See `Driver.lock`: `BEGIN IMMEDIATE` has it."""

    def sql(self, statement: str) -> str:
        """See `Driver.sql`."""
        return statement

    def to_document(self, document: bytes) -> Any:
        """See `Driver.to_document`."""
        return document

    def is_outage(self, error: Exception) -> bool:
        """See `Driver.is_outage`: a locked file, a full disk."""
        return isinstance(error, sqlite3.OperationalError) and not any(
            word in str(error) for word in ("no such", "syntax")
        )


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """SQLite does not wait where another process makes the same new file at the same moment."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(BUSY_PAUSE_SECONDS)
        else:
            return


def _tells_damage(error: sqlite3.DatabaseError) -> bool:
    return any(word in str(error) for word in _DAMAGED)


def sqlite_rows(path: Path, indexed: Mapping[str, tuple[str, ...]]) -> SqlRows:
    """The rows in a SQLite file."""
    return SqlRows(Engine(SqliteDriver(path)), indexed)
