"""The contract suites on a real nats-server and a real S3 server, both embedded."""

import asyncio
import functools
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from pydantic import SecretStr

from penstock_chassis.adapters.nats.connection import call, connect_client
from penstock_chassis.adapters.nats.ports import nats_ports
from penstock_chassis.adapters.nats.streams import DEADLETTER, SECOND
from penstock_chassis.adapters.s3 import S3ObjectStore, make_client
from penstock_chassis.embedded import DataDir, EmbeddedNats, EmbeddedObjects, sync_filesystem
from penstock_chassis.ports import Ports
from penstock_chassis.settings import PlatformSettings
from penstock_chassis.testing.contracts import (
    AppendContract,
    ConsumersContract,
    DeadLettersContract,
    KeyValuesContract,
    LeasesContract,
    ObjectStoreContract,
    ReadingContract,
    RedeliveryContract,
    SecretsContract,
    TelemetryContract,
)
from penstock_chassis.testing.contracts.object_contract import Tamper
from penstock_chassis.testing.contracts.sidestream_contract import Outwait

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]


@dataclass(frozen=True)
class Servers:
    """Where the servers are, and a client of the object store."""

    settings: PlatformSettings
    objects: S3ObjectStore


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def servers() -> AsyncIterator[Servers]:
    with DataDir.ephemeral() as directory:
        async with EmbeddedNats(directory) as nats, EmbeddedObjects(directory) as objects:
            settings = PlatformSettings().model_copy(
                update={
                    "nats_url": nats.url,
                    "objects_endpoint": objects.endpoint,
                    "objects_access_key": objects.access_key,
                    "objects_secret_key": SecretStr(objects.secret_key),
                }
            )
            sync = functools.partial(sync_filesystem, objects.data_dir)
            store = S3ObjectStore(make_client(settings), settings.objects_bucket, sync)
            await store.ensure_bucket()
            yield Servers(settings, store)


@pytest_asyncio.fixture(loop_scope="module")
async def ports(servers: Servers) -> AsyncIterator[Ports]:
    async with nats_ports(servers.settings, servers.objects) as ports:
        yield ports


@pytest.fixture
def tamper(servers: Servers) -> Tamper:
    client = make_client(servers.settings)

    async def overwrite(uri: str, data: bytes) -> None:
        parts = urlsplit(uri)
        key = parts.path.lstrip("/")
        await asyncio.to_thread(client.put_object, parts.netloc, key, io.BytesIO(data), len(data))

    return overwrite


SHORT_WINDOW_SECONDS = 0.1
"""Time itself is what is waited for here: no event tells that a window is over."""


@pytest.fixture
def outwait(servers: Servers) -> Outwait:
    async def shorten_and_sleep() -> None:
        client = await connect_client(servers.settings.nats_url, "outwait")
        try:
            config = (await call(client, f"STREAM.INFO.{DEADLETTER}"))["config"]
            short = config | {"duplicate_window": int(SHORT_WINDOW_SECONDS * SECOND)}
            await call(client, f"STREAM.UPDATE.{DEADLETTER}", short)
            await asyncio.sleep(3 * SHORT_WINDOW_SECONDS)
        finally:
            await client.close()

    return shorten_and_sleep


class TestAppend(AppendContract):
    pass


class TestReading(ReadingContract):
    pass


class TestConsumers(ConsumersContract):
    pass


class TestRedelivery(RedeliveryContract):
    pass


class TestKeyValues(KeyValuesContract):
    pass


class TestSecrets(SecretsContract):
    pass


class TestLeases(LeasesContract):
    pass


class TestObjects(ObjectStoreContract):
    pass


class TestTelemetry(TelemetryContract):
    pass


class TestDeadLetters(DeadLettersContract):
    pass
