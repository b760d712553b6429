"""`penstock service run <name>` as a container starts it: told by Compose's variables alone."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from penstock_chassis.embedded import DataDir, EmbeddedObjects

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

BIN = Path(sys.executable).parent
PASSWORD = "1234567890"
"""Digits alone: what a careless quotation in nats.conf would take for a number."""
READY_SECONDS = 60.0
PAUSE_SECONDS = 0.1
LISTENS = {"gateway": "PENSTOCK_GATEWAY_PORT", "serving": "PENSTOCK_SERVING_PORT"}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@asynccontextmanager
async def process(*command: str | Path, **environment: str) -> AsyncIterator[Any]:
    """A process that gets no other variables than those given; killed at the end."""
    started = await asyncio.create_subprocess_exec(
        *command, env={"PATH": os.environ["PATH"], **environment}
    )
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
        await started.wait()


async def get(port: int, path: str) -> tuple[int, bytes]:
    """Status and body; 0 where nobody answers."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return 0, b""
    try:
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
        )
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        return int(head.split()[1]), body
    finally:
        writer.close()
        await writer.wait_closed()


async def answered(service: Any, port: int, path: str, wanted: int | None) -> None:
    """Wait, with a bound, for a status, or for any where none is wanted."""
    async with asyncio.timeout(READY_SECONDS):
        while True:
            status, _ = await get(port, path)
            if status and wanted in (status, None):
                return
            assert service.returncode is None
            await asyncio.sleep(PAUSE_SECONDS)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def servers(root: Path, compose: dict[str, Any]) -> AsyncIterator[dict[str, str]]:
    """The bus by Compose's configuration and an S3 server; what services are told of them."""
    port, monitoring = free_port(), free_port()
    with DataDir.ephemeral() as directory:
        config = directory.path / "nats.conf"
        text = (root / "compose" / "nats" / "nats.conf").read_text()
        for there, here in (
            ("port: 4222", f'host: "127.0.0.1"\nport: {port}'),
            ("127.0.0.1:8222", f"127.0.0.1:{monitoring}"),
            ('"/data"', f'"{directory.path / "jetstream"}"'),
        ):
            assert there in text
            text = text.replace(there, here)
        config.write_text(text)
        quoted = compose["services"]["nats"]["environment"]["NATS_PASSWORD"]
        quoted = f"{quoted[0]}{PASSWORD}{quoted[-1]}"
        async with (
            process(BIN / "nats-server", "--config", config, NATS_PASSWORD=quoted),
            EmbeddedObjects(directory) as objects,
        ):
            yield {
                "PENSTOCK_NATS_URL": f"nats://penstock:{PASSWORD}@127.0.0.1:{port}",
                "PENSTOCK_OBJECTS_ENDPOINT": objects.endpoint,
                "PENSTOCK_OBJECTS_ACCESS_KEY": objects.access_key,
                "PENSTOCK_OBJECTS_SECRET_KEY": objects.secret_key,
                "PENSTOCK_OBJECTS_SYNC_DIR": str(objects.data_dir),
                "PENSTOCK_ADMIN_TOKEN_HASH": "ab" * 32,
            }


@pytest.mark.parametrize("name", ["scheduler", "gateway", "serving"])
async def test_a_service_is_ready_by_its_variables_alone_and_drains_at_sigterm(
    name: str, servers: dict[str, str], compose: dict[str, Any], tmp_path: Path
) -> None:
    told = {
        key: str(value)
        for key, value in compose["services"][name]["environment"].items()
        if "${" not in str(value)
    }
    health, http = free_port(), free_port()
    told |= servers | {"HOME": str(tmp_path), "PENSTOCK_HEALTH_PORT": str(health)}
    told |= {key: str(tmp_path) for key in told if key.endswith("_WORK_DIR")}
    # Here, unlike in a container, whoever listens must do so on loopback.
    told |= {key: "127.0.0.1" for key in told if key.endswith("_HOST")}
    if name in LISTENS:
        told[LISTENS[name]] = str(http)
    async with process(BIN / "penstock", "service", "run", name, **told) as service:
        await answered(service, health, "/readyz", 200)
        if name in LISTENS:
            await answered(service, http, "/", None)
            await answered(service, http, "/v1/whoami" if name == "gateway" else "/n/e/v2", 401)
        _, body = await get(health, "/readyz")
        assert json.loads(body)["checks"] == {
            f"{name}.started": "ok",
            f"{name}.bus": "ok",
            f"{name}.objects": "ok",
        }
        assert b"penstock_" in (await get(health, "/metrics"))[1]
        service.send_signal(signal.SIGTERM)
        async with asyncio.timeout(int(compose["services"][name]["stop_grace_period"][:-1])):
            assert await service.wait() == 0


async def test_a_wrong_password_is_no_way_in(servers: dict[str, str], tmp_path: Path) -> None:
    health = free_port()
    told = servers | {"HOME": str(tmp_path), "PENSTOCK_HEALTH_PORT": str(health)}
    told["PENSTOCK_NATS_URL"] = told["PENSTOCK_NATS_URL"].replace(PASSWORD, "guess")
    async with process(BIN / "penstock", "service", "run", "scheduler", **told) as service:
        await answered(service, health, "/livez", 200)
        status, _ = await get(health, "/readyz")
        assert status == 503
        assert service.returncode is None, "it waits for a bus that lets it in"
