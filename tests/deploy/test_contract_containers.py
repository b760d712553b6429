"""The contract suites of the bus and of the object store on the images that Compose runs.

They need a Docker daemon and the images: those of `compose.yaml`, already here, or pulled where
PENSTOCK_TEST_PULL_IMAGES=1 allows it. Elsewhere they are skipped and say why; the same suites run
on the same servers from their wheels in chassis/tests/contract.
"""

import asyncio
import io
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
import yaml
from pydantic import SecretStr
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer

from penstock_chassis.adapters.nats.connection import call, connect_client
from penstock_chassis.adapters.nats.ports import nats_ports
from penstock_chassis.adapters.nats.streams import DEADLETTER, SECOND
from penstock_chassis.adapters.s3 import S3ObjectStore, make_client
from penstock_chassis.errors import ChassisError
from penstock_chassis.ports import Ports
from penstock_chassis.settings import PlatformSettings
from penstock_chassis.testing.contracts import (
    AppendContract,
    ConsumersContract,
    DeadLettersContract,
    KeyValuesContract,
    ObjectStoreContract,
    ReadingContract,
    RedeliveryContract,
    TelemetryContract,
)
from penstock_chassis.testing.contracts.object_contract import Tamper
from penstock_chassis.testing.contracts.sidestream_contract import Outwait

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

PULL_VARIABLE = "PENSTOCK_TEST_PULL_IMAGES"
ASK_SECONDS = 10.0
PULL_SECONDS = 300.0
READY_SECONDS = 60.0
PAUSE_SECONDS = 0.25
SHORT_WINDOW_SECONDS = 0.1
NATS_PORT = 4222
SEAWEEDFS_PORT = 8333
ACCESS_KEY = "penstock"
PASSWORD = "s3cret4tests"
MINIO_IMAGE = "minio/minio:RELEASE.2025-09-07T16-13-09Z"
"""The last that was published; later ones are for those who build or buy them."""
MINIO_PORT = 9000

# The reaper of testcontainers is one more image; the fixtures end their containers themselves.
testcontainers_config.ryuk_disabled = True


@dataclass(frozen=True)
class Servers:
    """Where the containers answer."""

    settings: PlatformSettings
    objects: S3ObjectStore


def _docker(*arguments: str, seconds: float) -> bool:
    """Whether a Docker command succeeds within its time."""
    try:
        done = subprocess.run(
            ["docker", *arguments], capture_output=True, timeout=seconds, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _missing(image: str) -> str:
    """Why the image cannot be had, or nothing."""
    if _docker("image", "inspect", image, seconds=ASK_SECONDS):
        return ""
    if os.environ.get(PULL_VARIABLE) != "1":
        return f"image {image} is not here; {PULL_VARIABLE}=1 allows to pull it"
    if not _docker("pull", "--quiet", image, seconds=PULL_SECONDS):
        return f"image {image} could not be pulled within {PULL_SECONDS:.0f} s"
    return ""


def _why_not(*images: str) -> str:
    """Why containers of these images cannot be had, or nothing."""
    if not _docker("info", "--format", "{{.ServerVersion}}", seconds=ASK_SECONDS):
        return "no Docker daemon answers"
    return next(filter(None, map(_missing, images)), "")


COMPOSE_FILE = Path(__file__).resolve().parents[2] / "compose" / "compose.yaml"
SERVERS = yaml.safe_load(COMPOSE_FILE.read_text())["services"]
BUS, OBJECTS = SERVERS["nats"], SERVERS["objects"]

# At collection, so that one line says it and not one for each test.
if reason := _why_not(BUS["image"], OBJECTS["image"]):
    pytest.skip(f"contract suites on containers: {reason}", allow_module_level=True)

NO_MINIO = _missing(MINIO_IMAGE)


@pytest.fixture(scope="module")
def nats_url() -> Iterator[str]:
    """The bus as Compose configures it."""
    container = (
        DockerContainer(BUS["image"])
        .with_kwargs(entrypoint=BUS["entrypoint"])
        .with_tmpfs_mount("/data")
        .with_command(BUS["command"])
        .with_env("NATS_PASSWORD", f'"{PASSWORD}"')
        .with_volume_mapping(str(COMPOSE_FILE.parent / "nats"), "/etc/nats", "ro")
        .with_exposed_ports(NATS_PORT)
    )
    with container as started:
        yield f"nats://penstock:{PASSWORD}@{_address(started, NATS_PORT)}"


def _seaweedfs() -> DockerContainer:
    """Compose's own object server, its data in memory."""
    return (
        DockerContainer(OBJECTS["image"])
        .with_kwargs(entrypoint=OBJECTS["entrypoint"], working_dir="/data")
        .with_tmpfs_mount("/data")
        .with_command([part.replace("/data/store", "/data") for part in OBJECTS["command"]])
        .with_env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .with_env("AWS_SECRET_ACCESS_KEY", PASSWORD)
    )


def _minio() -> DockerContainer:
    """For those who have it."""
    return (
        DockerContainer(MINIO_IMAGE)
        .with_command(["server", "/data"])
        .with_env("MINIO_ROOT_USER", ACCESS_KEY)
        .with_env("MINIO_ROOT_PASSWORD", PASSWORD)
    )


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((_seaweedfs, SEAWEEDFS_PORT), id="seaweedfs"),
        pytest.param(
            (_minio, MINIO_PORT),
            id="minio",
            marks=[pytest.mark.skip(reason=NO_MINIO)] if NO_MINIO else [],
        ),
    ],
)
def object_settings(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """Where an S3 server in a container answers."""
    make, port = request.param
    with make().with_exposed_ports(port) as started:
        yield {
            "objects_endpoint": _address(started, port),
            "objects_access_key": ACCESS_KEY,
            "objects_secret_key": SecretStr(PASSWORD),
        }


def _address(container: Any, port: int) -> str:
    host = container.get_container_host_ip()
    return f"{host}:{container.get_exposed_port(port)}"


async def _answering(settings: PlatformSettings) -> S3ObjectStore:
    """The store once it takes an object: it lists before it can write."""
    store = S3ObjectStore(make_client(settings), settings.objects_bucket)
    async with asyncio.timeout(READY_SECONDS):
        while True:
            try:
                await store.ensure_bucket()
                await store.put("probe", b"ready?")
            except ChassisError:
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                return store


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bus(nats_url: str) -> AsyncIterator[Ports]:
    """The bus alone; its suites touch no object."""
    settings = PlatformSettings().model_copy(update={"nats_url": nats_url})
    store = S3ObjectStore(make_client(settings), settings.objects_bucket)
    async with nats_ports(settings, store) as ports:
        yield ports


@pytest.fixture
def outwait(nats_url: str) -> Outwait:
    """The duplicate window, made short and waited for."""

    async def shorten_and_sleep() -> None:
        client = await connect_client(nats_url, "outwait")
        try:
            config = (await call(client, f"STREAM.INFO.{DEADLETTER}"))["config"]
            short = config | {"duplicate_window": int(SHORT_WINDOW_SECONDS * SECOND)}
            await call(client, f"STREAM.UPDATE.{DEADLETTER}", short)
            await asyncio.sleep(3 * SHORT_WINDOW_SECONDS)
        finally:
            await client.close()

    return shorten_and_sleep


class OnTheBus:
    """Suites whose ports are those of the NATS container."""

    @pytest.fixture
    def ports(self, bus: Ports) -> Ports:
        return bus


class TestAppend(OnTheBus, AppendContract):
    pass


class TestReading(OnTheBus, ReadingContract):
    pass


class TestConsumers(OnTheBus, ConsumersContract):
    pass


class TestRedelivery(OnTheBus, RedeliveryContract):
    pass


class TestKeyValues(OnTheBus, KeyValuesContract):
    pass


class TestTelemetry(OnTheBus, TelemetryContract):
    pass


class TestDeadLetters(OnTheBus, DeadLettersContract):
    pass


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def store(object_settings: dict[str, Any]) -> Servers:
    settings = PlatformSettings().model_copy(update=object_settings)
    return Servers(settings, await _answering(settings))


class TestObjects(ObjectStoreContract):
    @pytest.fixture
    def ports(self, bus: Ports, store: Servers) -> Ports:
        return replace(bus, objects=store.objects)

    @pytest.fixture
    def tamper(self, store: Servers) -> Tamper:
        client = make_client(store.settings)

        async def overwrite(uri: str, data: bytes) -> None:
            parts = urlsplit(uri)
            key = parts.path.lstrip("/")
            await asyncio.to_thread(
                client.put_object, parts.netloc, key, io.BytesIO(data), len(data)
            )

        return overwrite
