"""`WebhookSender` over HTTP that connects to no address which the guard refuses.

The guard stands where the connection is made: the name is resolved here, every address that it
has is judged, and the connection goes to one of those very addresses, with TLS still verified
against the name. Nothing resolves a second time, so a name that changes in between (DNS rebinding)
changes nothing. Redirects are not followed; no proxy, cookie or credential of the environment is
used.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import certifi
import httpcore

from penstock_gateway.domain.reach import Reach
from penstock_gateway.ports import Answer

CONNECT_SECONDS = 5.0
TOTAL_SECONDS = 15.0
ANSWER_BYTES_MAX = 65_536
"""An answer that is longer costs its connection; what it says does not count anyway."""
ADDRESSES_TRIED_MAX = 3
ADDRESSES_MAX = 64
KEPT_CONNECTIONS_MAX = 64
KEPT_SECONDS = 30.0
ERROR_LENGTH_MAX = 300

Resolve = Callable[[str, int], Awaitable[list[str]]]


class Refused(Exception):
    """The guard does not allow the connection."""


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name, as the machine's resolver gives them."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[4][0]) for address in found))


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Opens connections, after the guard allowed each address of the name."""

    def __init__(self, reach: Reach, *, plain: bool, resolve: Resolve = resolve) -> None:
        self._reach = reach
        self._plain = plain
        self._resolve = resolve
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address that answers; raises `Refused`."""
        addresses = await self._addresses(host, port)
        error: Exception | None = None
        for address in addresses[:ADDRESSES_TRIED_MAX]:
            try:
                return await self._inner.connect_tcp(address, port, timeout=timeout)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as failed:
                error = failed
        raise error or httpcore.ConnectError(f"{host} has no address")

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.AsyncNetworkStream:
        """Never."""
        raise Refused("a socket of this machine is not reached")

    async def sleep(self, seconds: float) -> None:
        """Pause."""
        await asyncio.sleep(seconds)

    async def _addresses(self, host: str, port: int) -> list[str]:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                found = await self._resolve(host, port)
        except TimeoutError:
            raise httpcore.ConnectTimeout(f"{host} was not resolved in time") from None
        except OSError as error:
            raise httpcore.ConnectError(f"{host} cannot be resolved: {error.strerror}") from None
        for address in found[:ADDRESSES_MAX]:
            # One bad address refuses the name: whoever mixes them is not to be trusted with luck.
            if refusal := self._reach.refusal(address, port, plain=self._plain):
                raise Refused(f"not connected: {refusal}")
        return found[:ADDRESSES_MAX]


class GuardedHttp:
    """`WebhookSender` on two pools, one of them without TLS."""

    def __init__(
        self,
        reach: Reach,
        *,
        resolve: Resolve = resolve,
        trust: ssl.SSLContext | None = None,
        total_seconds: float = TOTAL_SECONDS,
    ) -> None:
        context = trust or trusted()
        self._total_seconds = total_seconds
        self._pools = {
            scheme: httpcore.AsyncConnectionPool(
                ssl_context=context,
                max_connections=None,  # each subscription bounds its own
                max_keepalive_connections=KEPT_CONNECTIONS_MAX,
                keepalive_expiry=KEPT_SECONDS,
                network_backend=GuardedBackend(reach, plain=scheme == b"http", resolve=resolve),
            )
            for scheme in (b"http", b"https")
        }

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """See `WebhookSender.post`."""
        started = time.monotonic()
        status, error, wait = 0, "", None
        try:
            async with asyncio.timeout(self._total_seconds):
                status, error, wait = await self._post(url, headers, body)
        except TimeoutError:
            error = f"no answer within {self._total_seconds:g} s"
        except Refused as refused:
            error = str(refused)
        except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as failed:
            error = f"{type(failed).__name__}: {failed}"
        except (httpcore.UnsupportedProtocol, ssl.SSLError, OSError, ValueError) as failed:
            error = f"{type(failed).__name__}: {failed}"
        milliseconds = round((time.monotonic() - started) * 1000, 1)
        return Answer(status, error[:ERROR_LENGTH_MAX], milliseconds, wait)

    async def _post(
        self, url: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, str, float | None]:
        target = httpcore.URL(url)
        pool = self._pools.get(target.scheme)
        if pool is None:
            raise Refused(f"not connected: {url[:64]!r} is not a URL of the web")
        sent = [(b"host", _host(target))]
        sent += [(name.encode(), value.encode()) for name, value in headers.items()]
        sent.append((b"content-length", str(len(body)).encode()))
        limits = dict.fromkeys(("read", "write", "pool"), self._total_seconds)
        async with pool.stream(
            "POST",
            target,
            headers=sent,
            content=body,
            extensions={"timeout": {**limits, "connect": CONNECT_SECONDS}},
        ) as answer:
            read = 0
            async for chunk in answer.aiter_stream():
                read += len(chunk)
                if read > ANSWER_BYTES_MAX:
                    break
            named = {name.lower(): value.decode("latin-1") for name, value in answer.headers}
            return _judged(answer.status, named)

    async def close(self) -> None:
        """See `WebhookSender.close`."""
        for pool in self._pools.values():
            await pool.aclose()


def trusted() -> ssl.SSLContext:
    """The authorities of the machine (`SSL_CERT_FILE` and `SSL_CERT_DIR` count) and of certifi:
    an image may have none of its own."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def _host(target: httpcore.URL) -> bytes:
    default = {b"http": 80, b"https": 443}[target.scheme]
    host = b"[" + target.host + b"]" if b":" in target.host else target.host
    named = target.port is not None and target.port != default
    return host + (b":%d" % target.port if named and target.port is not None else b"")


def _judged(status: int, headers: Mapping[bytes, str]) -> tuple[int, str, float | None]:
    wait = None
    if status in (429, 503):
        wait = seconds_of(headers.get(b"retry-after", ""), datetime.now(UTC))
    if 200 <= status < 300:
        return status, "", None
    if 300 <= status < 400:
        return status, f"status {status}: redirects are not followed", wait
    return status, f"status {status}", wait


def seconds_of(text: str, now: datetime) -> float | None:
    """A `Retry-After` as seconds from now; None where it is none."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        then = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    then = then if then.tzinfo else then.replace(tzinfo=UTC)
    return max(0.0, (then - now).total_seconds())
