"""Are the bus and the object store of the `PENSTOCK_*` settings there, and do they let us in?

For `penstock doctor` and for `penstock service run`, which asks before it starts anything. Every
wait is bounded, nothing is tried twice, and nothing is written. No answer says a password.
"""

import asyncio
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from nats.aio.client import Client

    from penstock_chassis.settings import PlatformSettings

CONNECT_SECONDS = 3
HTTP_SECONDS = 3.0
SERVER_VARIABLES = ("nats_url", "objects_endpoint", "objects_access_key", "objects_secret_key")
"""The settings that say where the servers are; one that is set means: not `penstock up`'s own."""
KEY_PROBLEMS = frozenset({"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"})
STORE = "object store"
SYNCED = "synced appends"
MONITOR_PORT = 8222
"""Where a NATS server answers about itself by convention."""


class Answer(NamedTuple):
    """One thing asked of a server, and what to do where it is not well."""

    what: str
    ok: bool
    said: str
    hint: str = ""


def are_named(settings: "PlatformSettings") -> bool:
    """Whether the environment says where the servers are."""
    return bool(settings.model_fields_set & set(SERVER_VARIABLES))


async def ask_servers(settings: "PlatformSettings") -> list[Answer]:
    """All that can be asked of both, side by side."""
    bus, store = await asyncio.gather(ask_bus(settings), ask_store(settings))
    return [*bus, *store]


async def ask_bus(settings: "PlatformSettings") -> list[Answer]:
    """Connect to the first server that answers, and look for JetStream."""
    from penstock_chassis.errors import Unavailable  # noqa: PLC0415
    from penstock_chassis.settings import URL_PASSWORD  # noqa: PLC0415

    address = URL_PASSWORD.sub(r"\1***@", settings.nats_url)
    problems = []
    for url in settings.nats_url.split(","):
        try:
            client = await _connect(url.strip())
        except Unavailable as error:
            problems.append(str(error))
            continue
        try:
            return [
                Answer("bus", True, f"{address} answers"),
                await _jetstream(client, address),
                await asyncio.to_thread(_synced, url),
            ]
        finally:
            await client.close()
    refused = any("authorization" in problem.lower() for problem in problems)
    return [
        Answer(
            "bus",
            False,
            f"the bus {address} (PENSTOCK_NATS_URL) "
            + ("refuses the user or password" if refused else "cannot be reached")
            + f": {'; '.join(problems)}",
            "set PENSTOCK_NATS_URL to nats://user:password@host:port"
            if refused
            else "start nats-server there, set PENSTOCK_NATS_URL to where it is, or run the whole "
            "platform with `penstock up`",
        )
    ]


async def ask_store(settings: "PlatformSettings") -> list[Answer]:
    """Ask for the bucket with the keys."""
    return [await asyncio.to_thread(_bucket, settings)]


async def _connect(url: str) -> "Client":
    """Raises `Unavailable` with what the socket or the server said."""
    from penstock_chassis.adapters.nats.client import connect  # noqa: PLC0415
    from penstock_chassis.adapters.nats.connection import connection_options  # noqa: PLC0415
    from penstock_chassis.errors import Unavailable  # noqa: PLC0415

    problems: list[Exception] = []

    async def note(error: Exception) -> None:
        problems.append(error)

    once = {
        "allow_reconnect": False,
        "max_reconnect_attempts": 1,
        "reconnect_time_wait": 0.0,
        "connect_timeout": CONNECT_SECONDS,
        "error_cb": note,
    }
    try:
        async with asyncio.timeout(2 * CONNECT_SECONDS):
            return await connect(**(connection_options(url, "penstock-doctor") | once))
    except Exception as error:
        # A server that refuses says so and closes, and the closing may be heard of as well.
        said = [problem for problem in problems if not isinstance(problem, OSError)]
        reason = [error, *problems, *said][-1]
        raise Unavailable(str(reason) or type(reason).__name__) from error


async def _jetstream(client: "Client", address: str) -> Answer:
    from penstock_chassis.adapters.nats.connection import call  # noqa: PLC0415
    from penstock_chassis.errors import ChassisError  # noqa: PLC0415

    try:
        await call(client, "INFO")
    except ChassisError as error:
        hint = "start nats-server with a `jetstream` block (or -js), enabled for this account"
        said = f"off or not allowed on {address} (PENSTOCK_NATS_URL): {error}"
        return Answer("JetStream", False, said, hint)
    return Answer("JetStream", True, "on")


def _synced(url: str) -> Answer:
    from penstock_chassis.commands.doctor import get_json, synced_said  # noqa: PLC0415

    host = urlsplit(url if "://" in url else f"nats://{url}").hostname or "127.0.0.1"
    monitor = f"http://{f'[{host}]' if ':' in host else host}:{MONITOR_PORT}"
    said = get_json(f"{monitor}/jsz?config=1", HTTP_SECONDS)
    if "config" not in said:
        return Answer(SYNCED, True, f"not known: no monitoring at {monitor}")
    return Answer(SYNCED, *synced_said(said))


def _bucket(settings: "PlatformSettings") -> Answer:
    import urllib3  # noqa: PLC0415
    from minio.error import MinioException, S3Error  # noqa: PLC0415

    from penstock_chassis.adapters.s3 import make_client  # noqa: PLC0415

    waits = urllib3.PoolManager(timeout=HTTP_SECONDS, retries=False)
    where = f"the object store {settings.objects_endpoint} (PENSTOCK_OBJECTS_ENDPOINT)"
    name = settings.objects_bucket
    try:
        there = make_client(settings, waits).bucket_exists(name)
    except S3Error as error:
        keys = error.code in KEY_PROBLEMS
        said = f"{where} refuses bucket {name!r}: {error.code} {error.message}"
        hint = "set PENSTOCK_OBJECTS_ACCESS_KEY and PENSTOCK_OBJECTS_SECRET_KEY to its keys"
        return Answer(STORE, False, said, hint if keys else "see the log of that server")
    except (MinioException, urllib3.exceptions.HTTPError, ValueError, OSError) as error:
        return Answer(
            STORE,
            False,
            f"{where} cannot be reached: {error}",
            "start an S3 server there, or set PENSTOCK_OBJECTS_ENDPOINT (host:port) and "
            "PENSTOCK_OBJECTS_SECURE (TLS or not) to where it is",
        )
    said = f"{settings.objects_endpoint} answers, bucket {name!r} "
    return Answer(STORE, True, said + ("is there" if there else "will be made"))
