"""What the bus itself refuses: each namespace has an account of its own, on a real nats-server."""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import nats
import nkeys
import pytest
from nats.aio.client import Client
from nats.errors import NoRespondersError, TimeoutError

from penstock_chassis.accounts import Credential
from penstock_chassis.accounts.bus import JUDGED_BY_PAYLOAD, PLATFORM_ACCOUNT
from penstock_chassis.adapters.nats.log import NatsLog
from penstock_chassis.adapters.nats.streams import EVENTS, ensure_streams
from penstock_chassis.embedded import DataDir, EmbeddedNats
from penstock_chassis.settings import PlatformSettings
from penstock_schemas import ADMIN, ANYONE, CredentialIssued, event_types

MINE, OTHER = "vision", "audio"
PASSWORD = "of the platform"
REFUSED_SECONDS = 0.3
ARRIVES_SECONDS = 5.0
WISH = f"penstock.{MINE}.job.requested.j1"
FACT = f"penstock.{MINE}.job.placed.j1"
THEIRS = f"penstock.{OTHER}.job.requested.j1"


def key_pair() -> tuple[str, str]:
    seed = nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER)
    return bytes(seed).decode(), nkeys.from_seed(bytearray(seed)).public_key.decode()


def credential(namespace: str, role: str, public_key: str) -> Credential:
    issued = CredentialIssued(
        credential=f"{namespace}-{role}", kind="nats", role=role, public_key=public_key
    )
    return Credential(issued, namespace)


class Bus:
    """A server with the platform and tenants of two namespaces connected to it."""

    def __init__(self, server: EmbeddedNats, platform: Client) -> None:
        self.server, self.platform = server, platform
        self.seeds: dict[tuple[str, str], str] = {}
        self.refusals: asyncio.Queue[str] = asyncio.Queue()
        self.clients: list[Client] = []
        self.ended: dict[Client, asyncio.Event] = {}
        """Set once the connection of a tenant's client is closed."""

    async def tenant(self, namespace: str, role: str = "editor") -> Client:
        async def note(error: Exception) -> None:
            self.refusals.put_nowait(str(error))

        ended = asyncio.Event()

        async def end() -> None:
            ended.set()

        client = await nats.connect(
            self.server.tenant_url,
            nkeys_seed_str=self.seeds[namespace, role],
            error_cb=note,
            closed_cb=end,
            allow_reconnect=False,
        )
        self.clients.append(client)
        self.ended[client] = ended
        return client

    async def log(self) -> list[str]:
        return [
            stored.subject for stored in await NatsLog(self.platform, EVENTS).read("penstock.>")
        ]

    async def state(self, facts: str) -> None:
        await self.platform.jetstream().publish(facts, b"{}")


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[Bus]:
    directory = DataDir(tmp_path / "data")
    with directory.locked():
        async with EmbeddedNats(directory, password=PASSWORD) as server:
            platform = await nats.connect(server.tenant_url, user="penstock", password=PASSWORD)
            await ensure_streams(platform, PlatformSettings())
            made = Bus(server, platform)
            credentials = []
            for namespace in (MINE, OTHER):
                for role in ("viewer", "editor"):
                    seed, public_key = key_pair()
                    made.seeds[namespace, role] = seed
                    credentials.append(credential(namespace, role, public_key))
            await server.admit(credentials)
            yield made
            for client in (*made.clients, platform):
                await client.close()


@asynccontextmanager
async def refused(bus: Bus, said: str) -> AsyncIterator[None]:
    """The server answers what is done within with a violation."""
    assert bus.refusals.empty()
    yield
    async with asyncio.timeout(ARRIVES_SECONDS):
        assert said in (await bus.refusals.get()).lower()


async def answer_to(url: str, **options: Any) -> bytes:
    """What the server says to a client that introduces itself so (nats-py leaves the sockets of
    connections that are refused open)."""
    reader, writer = await asyncio.open_connection(*url.removeprefix("nats://").split(":"))
    await reader.readline()
    said = json.dumps({"verbose": False, **options})
    writer.write(f"CONNECT {said}\r\nPING\r\n".encode())
    answer = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_nobody_comes_in_without_a_credential(bus: Bus) -> None:
    (_, mine), (_, strange) = key_pair(), key_pair()
    known = next(one.issued.public_key for one in bus.server._credentials)
    for options in (
        {},
        {"user": "penstock", "pass": "guess"},
        {"user": "penstock", "pass": "penstock"},
        {"nkey": strange, "sig": "AAAA"},
        {"nkey": known, "sig": "AAAA"},
        {"nkey": mine},
    ):
        assert b"Authorization Violation" in await answer_to(bus.server.tenant_url, **options)
    assert b"PONG" in await answer_to(bus.server.tenant_url, user="penstock", **{"pass": PASSWORD})


async def test_a_tenant_sees_the_events_of_its_namespace_alone(bus: Bus) -> None:
    seen: list[str] = []
    all_seen = asyncio.Event()

    async def note(message: Any) -> None:
        seen.append(message.subject)
        if seen.count(WISH) == 2:  # the last that is said, in the order in which it is said
            all_seen.set()

    for role in ("viewer", "editor"):
        client = await bus.tenant(MINE, role)
        await client.subscribe(f"penstock.{MINE}.>", cb=note)
        await client.flush()
    for subject in (THEIRS, FACT, f"penstock.{OTHER}.job.placed.j1", WISH):
        await bus.state(subject)
    async with asyncio.timeout(ARRIVES_SECONDS):
        await all_seen.wait()
    assert sorted(seen) == sorted([FACT, WISH] * 2)


@pytest.mark.parametrize("role", ["viewer", "editor"])
@pytest.mark.parametrize(
    "subject",
    [
        f"penstock.{OTHER}.>",
        THEIRS,
        "penstock.>",
        "penstock.*.job.requested.*",
        ">",
        "telemetry.>",
        "$JS.>",
        "$SYS.>",
        "$KV.>",
        "$JS.EVENT.ADVISORY.>",
    ],
)
async def test_a_tenant_subscribes_to_nothing_else(bus: Bus, role: str, subject: str) -> None:
    client = await bus.tenant(MINE, role)
    async with refused(bus, "subscription"):
        await client.subscribe(subject)
        await client.flush()


async def test_a_wish_in_ones_own_namespace_is_durable_and_acknowledged(bus: Bus) -> None:
    client = await bus.tenant(MINE)
    answer = await client.request(WISH, b"{}", timeout=ARRIVES_SECONDS)
    assert json.loads(answer.data)["stream"] == EVENTS
    assert await bus.log() == [WISH]


async def test_a_tenant_may_append_what_editors_may_and_nothing_else(bus: Bus) -> None:
    client = await bus.tenant(MINE)
    free = [
        type
        for type, contract in event_types().items()
        if contract.owner == ANYONE
        and contract.sender_role != ADMIN
        and type not in JUDGED_BY_PAYLOAD
    ]
    for type in free:
        await client.request(f"penstock.{MINE}.{type}.a", b"{}", timeout=ARRIVES_SECONDS)
    assert len(await bus.log()) == len(free)
    for type in sorted(set(event_types()) - set(free)):
        async with refused(bus, "publish"):
            await client.publish(f"penstock.{MINE}.{type}.a", b"{}")
            await client.flush()
    assert len(await bus.log()) == len(free)


@pytest.mark.parametrize("role", ["viewer", "editor"])
@pytest.mark.parametrize(
    "subject",
    [
        THEIRS,
        FACT,
        f"penstock.{OTHER}.job.placed.j1",
        f"telemetry.{MINE}.job.log.j1",
        "$JS.API.INFO",
        f"$JS.API.STREAM.INFO.{EVENTS}",
        f"$JS.API.STREAM.MSG.GET.{EVENTS}",
        f"$JS.API.DIRECT.GET.{EVENTS}",
        f"$JS.API.STREAM.PURGE.{EVENTS}",
        f"$JS.API.STREAM.DELETE.{EVENTS}",
        f"$JS.API.CONSUMER.CREATE.{EVENTS}.mine.{WISH}",
        f"$JS.API.CONSUMER.DELETE.{EVENTS}.trainer",
        f"$JS.API.CONSUMER.MSG.NEXT.{EVENTS}.trainer",
        f"$JS.ACK.{EVENTS}.trainer.1.1.1.1.1",
    ],
)
async def test_a_tenant_publishes_and_asks_nothing_else(bus: Bus, role: str, subject: str) -> None:
    await bus.state(THEIRS)
    client = await bus.tenant(MINE, role)
    async with refused(bus, "publish"):
        with pytest.raises((TimeoutError, NoRespondersError)):
            await client.request(subject, b"{}", timeout=REFUSED_SECONDS)
    assert await bus.log() == [THEIRS]


async def test_a_viewer_appends_nothing(bus: Bus) -> None:
    client = await bus.tenant(MINE, "viewer")
    async with refused(bus, "publish"):
        await client.publish(WISH, b"{}")
        await client.flush()
    assert await bus.log() == []


async def test_no_header_of_a_tenant_removes_what_the_log_holds(bus: Bus) -> None:
    await bus.state(THEIRS)
    client = await bus.tenant(MINE)
    for headers in ({"Nats-Rollup": "all"}, {"Nats-Rollup": "sub"}, {"Nats-TTL": "1s"}):
        answer = await client.request(WISH, b"{}", timeout=ARRIVES_SECONDS, headers=headers)
        assert "error" in json.loads(answer.data)
    assert await bus.log() == [THEIRS]


async def test_a_credential_that_is_revoked_is_cut_off_and_others_live_on(bus: Bus) -> None:
    mine, theirs = await bus.tenant(MINE), await bus.tenant(OTHER)
    kept = [
        one
        for one in bus.server._credentials
        if (one.namespace, one.issued.role) != (MINE, "editor")
    ]
    await bus.server.admit(kept)
    async with asyncio.timeout(ARRIVES_SECONDS):
        await bus.ended[mine].wait()
    await theirs.flush()
    await bus.state(FACT)
    assert bus.platform.is_connected
    await (await bus.tenant(MINE, "viewer")).flush()


async def test_a_log_from_before_there_were_accounts_is_still_there(tmp_path: Path) -> None:
    directory = DataDir(tmp_path / "data")
    with directory.locked():
        async with EmbeddedNats(directory) as server:
            client = await nats.connect(server.url)
            await ensure_streams(client, PlatformSettings())
            await client.jetstream().publish(WISH, b"{}")
            await client.close()
        store = directory.nats / "jetstream"
        shutil.move(store / PLATFORM_ACCOUNT, store / "$G")  # as a server without accounts has it
        async with EmbeddedNats(directory) as server:
            client = await nats.connect(server.url)
            assert [one.subject for one in await NatsLog(client, EVENTS).read("penstock.>")] == [
                WISH
            ]
            await client.close()
