"""`/livez`, `/readyz` and `/metrics` of a process.

Live means that the event loop turns; it tests nothing else, so that a broken dependency never
gets a healthy process killed. Ready means that every check passes; each failing one is named.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping

from penstock_chassis.metrics import exposition

Check = Callable[[], Awaitable[None]]

CHECK_SECONDS = 5.0
REQUEST_BYTES_MAX = 8192
REQUEST_SECONDS = 5.0


async def readiness(checks: Mapping[str, Check]) -> dict[str, str]:
    """Run all checks side by side; what each says: `ok`, or what is wrong."""

    async def one(check: Check) -> str:
        try:
            await asyncio.wait_for(check(), CHECK_SECONDS)
        except Exception as error:  # noqa: BLE001 - a check may fail in any way; all mean not ready
            return f"{type(error).__name__}: {error}"
        return "ok"

    results = await asyncio.gather(*(one(check) for check in checks.values()))
    return dict(zip(checks, results, strict=True))


async def serve_health(host: str, port: int, checks: Mapping[str, Check]) -> asyncio.Server:
    """Answer on `host:port` until the returned server is closed."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), REQUEST_SECONDS)
            path = head.split(b" ", 2)[1].decode("latin-1").split("?")[0]
            status, kind, body = await _respond(path, checks)
            writer.write(
                f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
                "Connection: close\r\n\r\n".encode()
                + body
            )
            await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, OSError, IndexError):
            pass  # not a request of ours: close, say nothing
        except asyncio.LimitOverrunError:
            pass
        finally:
            writer.close()

    return await asyncio.start_server(answer, host, port, limit=REQUEST_BYTES_MAX)


async def _respond(path: str, checks: Mapping[str, Check]) -> tuple[str, str, bytes]:
    if path == "/livez":
        return "200 OK", "application/json", b'{"live":true}'
    if path == "/metrics":
        return "200 OK", "text/plain; version=0.0.4", exposition()
    if path == "/readyz":
        said = await readiness(checks)
        ready = all(word == "ok" for word in said.values())
        body = json.dumps({"ready": ready, "checks": said}).encode()
        return ("200 OK" if ready else "503 Service Unavailable"), "application/json", body
    return "404 Not Found", "application/json", b'{"error":"try /livez, /readyz or /metrics"}'
