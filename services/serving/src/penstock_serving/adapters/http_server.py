"""The listening side of HTTP: accepts, keeps the connections' time, drains."""

import asyncio
import contextlib
import time

from penstock_serving.adapters.http1 import HttpConnection
from penstock_serving.adapters.http_messages import Handler, HttpLimits

SWEEP_SECONDS = 0.5
BACKLOG = 1024


class HttpServer:
    """Listens, keeps the connections' time, drains."""

    def __init__(self, handler: Handler, limits: HttpLimits) -> None:
        self._handler = handler
        self._limits = limits
        self._connections: set[HttpConnection] = set()
        self._empty = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    async def listen(self, host: str, port: int) -> tuple[str, int]:
        """Open the socket; returns the address, with the port that was taken for port 0."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: HttpConnection(self._handler, self._limits, self),
            host,
            port,
            backlog=BACKLOG,
        )
        self._sweep()
        address = self._server.sockets[0].getsockname()
        return address[0], address[1]

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._connections)

    def admit(self, connection: HttpConnection) -> bool:
        """Note a new connection; false where there are too many."""
        self._connections.add(connection)
        self._empty.clear()
        return len(self._connections) <= self._limits.max_connections

    def leave(self, connection: HttpConnection) -> None:
        """The connection is closed."""
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    async def close(self, drain_seconds: float) -> None:
        """Refuse new connections, answer the requests that have come, close. Idempotent."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        for connection in list(self._connections):
            connection.drain()
        if self._connections:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), drain_seconds)
        for connection in list(self._connections):
            connection.abort()
        if self._sweeper is not None:
            self._sweeper.cancel()
        await server.wait_closed()

    def _sweep(self) -> None:
        now = time.monotonic()
        for connection in list(self._connections):
            connection.sweep(now)
        self._sweeper = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep)
