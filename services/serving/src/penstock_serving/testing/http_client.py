"""A bare HTTP/1.1 client for tests: it sends exactly the bytes that it is told to."""

import asyncio
import contextlib
import json
import socket
import struct
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

ANSWER_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """One response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The decoded body."""
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The reason in an error's body."""
        reason = self.json["error"]
        assert isinstance(reason, str)
        return reason


class HttpClient:
    """One keep-alive connection. A missing answer raises `ConnectionError` or `EOFError`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, origin: str) -> "HttpClient":
        """Open a connection to `http://host:port`."""
        address = urlsplit(origin)
        return cls(*await asyncio.open_connection(address.hostname, address.port))

    async def send(self, data: bytes) -> None:
        """Write bytes as they are."""
        self._writer.write(data)
        await self._writer.drain()

    async def get(self, path: str) -> Answer:
        """Ask and wait for the answer."""
        await self.send(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        return await self.read()

    async def post(self, path: str, body: Any) -> Answer:
        """Post bytes, or anything else as JSON, and wait for the answer."""
        await self.send(encode_post(path, body))
        return await self.read()

    async def read(self) -> Answer:
        """Read one response; interim ones (100) are returned as well."""
        return await asyncio.wait_for(self._read(), ANSWER_SECONDS)

    async def at_end(self) -> bool:
        """Wait for the server to close; false where it sends something instead."""
        return await asyncio.wait_for(self._reader.read(1), ANSWER_SECONDS) == b""

    async def read_or_end(self) -> Answer | None:
        """Read one response, or None where the server has closed."""
        try:
            return await self.read()
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    def end(self) -> None:
        """Say that nothing more will be sent."""
        self._writer.write_eof()

    def abort(self) -> None:
        """Go away with a reset, as a killed process with unread data does."""
        connection = self._writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def close(self) -> None:
        """Close the connection."""
        self._writer.close()
        with contextlib.suppress(ConnectionError):  # the server may have closed first
            await self._writer.wait_closed()

    async def _read(self) -> Answer:
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status_line, *lines = head.rstrip().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = await self._reader.readexactly(int(headers.get("content-length", "0")))
        return Answer(int(status_line.split(" ")[1]), headers, body)


def encode_post(path: str, body: Any) -> bytes:
    """The bytes of a POST."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode() + content
