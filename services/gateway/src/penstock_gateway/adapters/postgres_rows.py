"""The read model in PostgreSQL: for several gateways, and for people who want to ask it in SQL.

Needs the extra `postgres`. Several gateways may use one database: whoever commits updates the
position where it still is what it started from, so that one gets through and the others re-read.
"""

from collections.abc import Mapping
from typing import Any

from penstock_gateway.adapters.sql_engine import Cursor, Engine, T, Work
from penstock_gateway.adapters.sql_rows import SqlRows

CONNECT_SECONDS = 5
STATEMENT_MS_MAX = 600_000
"""A statement that takes longer is ended; comparing two generations may take minutes."""
ADVISORY_LOCK = 0x50454E53544F434B


class PostgresDriver:
    """`Driver` on one database and schema, both named by the address."""

    kind = "PostgreSQL"
    integer = "BIGINT"
    document = "JSON"
    empty = "TRUNCATE"
    contains = "strpos(document::text, ?) > 0"
    clustered = ""

    def __init__(self, url: str) -> None:
        # Not at the module's head: without this store nobody needs the library, or its memory.
        try:
            import psycopg  # noqa: PLC0415
            from psycopg.types.string import TextLoader  # noqa: PLC0415
        except ImportError as error:
            raise ValueError(
                "PENSTOCK_GATEWAY_DATABASE_URL names PostgreSQL: "
                'pip install "penstock-gateway[postgres]"'
            ) from error
        self._psycopg = psycopg
        self._text = TextLoader
        self._url = url

    def connect(self, *, writes: bool) -> Any:
        """See `Driver.connect`."""
        connection = self._psycopg.connect(
            self._url,
            connect_timeout=CONNECT_SECONDS,
            autocommit=True,
            application_name="penstock-gateway",
        )
        connection.adapters.register_loader("json", self._text)  # documents stay text
        connection.execute(f"SET statement_timeout = {STATEMENT_MS_MAX}")
        if not writes:
            connection.execute("SET default_transaction_isolation = 'repeatable read'")
            connection.execute("SET default_transaction_read_only = on")
        return connection

    def write(self, connection: Any, work: Work[T]) -> T:
        """See `Driver.write`."""
        with connection.transaction(), connection.cursor() as cursor:
            return work(cursor)

    def read(self, connection: Any, work: Work[T]) -> T:
        """See `Driver.read`."""
        return self.write(connection, work)

    def lock(self, cursor: Cursor) -> None:
        """See `Driver.lock`."""
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (ADVISORY_LOCK,))

    def sql(self, statement: str) -> str:
        """See `Driver.sql`."""
        return statement.replace("?", "%s")

    def to_document(self, document: bytes) -> Any:
        """See `Driver.to_document`."""
        return document.decode()

    def is_outage(self, error: Exception) -> bool:
        """See `Driver.is_outage`."""
        return isinstance(error, self._psycopg.OperationalError | self._psycopg.InterfaceError)


def postgres_rows(url: str, indexed: Mapping[str, tuple[str, ...]]) -> SqlRows:
    """The rows in a PostgreSQL database."""
    return SqlRows(Engine(PostgresDriver(url)), indexed)
