"""The connection to NATS, and requests to the JetStream API as plain JSON.

Reconnects for ever (the client's default gives up after 60 tries). The API is spoken in JSON by
hand where nats-py has no name for a feature (guards with wildcards, atomic batches, windows).
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from nats.aio.client import Client
from nats.errors import ConnectionClosedError, NoRespondersError, TimeoutError

from penstock_chassis.adapters.nats.client import connect
from penstock_chassis.errors import ChassisError, Conflict, NotFound, Unavailable

QUIET_SECONDS = 30.0
"""While a server is away each try fails in the same words, four times a second."""
REMEMBERED_MAX = 64
RECONNECT_WAIT_SECONDS = 0.25
PING_SECONDS = 20
CALL_SECONDS = 3.0
"""How long one request to the server may take."""
NOT_FOUND_CODES = frozenset({10014, 10037, 10059, 10149})
"""Consumer, message and stream not found; consumer to be updated not there."""
ALREADY_THERE = 10148
"""A consumer to be made is there, with another configuration."""

log = structlog.get_logger("penstock.nats")


def _reporter() -> Callable[[Exception], Awaitable[None]]:
    """Logs what happens to one connection; the same again at most once in `QUIET_SECONDS`."""
    said: dict[str, float] = {}

    async def report(error: Exception) -> None:
        now, word = asyncio.get_running_loop().time(), repr(error)
        if now - said.get(word, -QUIET_SECONDS) < QUIET_SECONDS:
            return
        if len(said) >= REMEMBERED_MAX:
            said.clear()
        said[word] = now
        log.warning("bus", error=word)

    return report


def connection_options(url: str, name: str) -> dict[str, Any]:
    """The options of every connection that the platform makes."""
    return {
        "servers": [part.strip() for part in url.split(",")],
        "name": name,
        "max_reconnect_attempts": -1,
        "reconnect_time_wait": RECONNECT_WAIT_SECONDS,
        "ping_interval": PING_SECONDS,
        "error_cb": _reporter(),
    }


async def connect_client(url: str, name: str) -> Client:
    """A connection outside of FastStream, for tools and tests."""
    return await connect(**connection_options(url, name))


async def call(client: Client, subject: str, body: Any = None) -> dict[str, Any]:
    """One request to the JetStream API.

    Raises `NotFound`, `Conflict`, `Unavailable`, or `ChassisError` with the server's own words.
    """
    payload = b"" if body is None else json.dumps(body).encode()
    try:
        answer = await client.request(f"$JS.API.{subject}", payload, timeout=CALL_SECONDS)
    except (TimeoutError, NoRespondersError, ConnectionClosedError, OSError) as error:
        raise Unavailable(f"no answer from NATS to {subject}: {error!r}") from error
    result: dict[str, Any] = json.loads(answer.data)
    if problem := result.get("error"):
        if problem.get("err_code") in NOT_FOUND_CODES:
            raise NotFound(f"{subject}: {problem['description']}")
        if problem.get("err_code") == ALREADY_THERE:
            raise Conflict(f"{subject}: {problem['description']}")
        raise ChassisError(f"{subject}: {problem['description']} ({problem.get('err_code')})")
    return result
