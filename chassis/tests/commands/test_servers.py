"""What `penstock doctor` and `penstock service run` say of the servers that the settings name."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from pydantic import SecretStr

from penstock_chassis.commands.servers import Answer, are_named, ask_servers
from penstock_chassis.embedded import (
    NATS_SERVER,
    DataDir,
    EmbeddedNats,
    EmbeddedObjects,
    find,
)
from penstock_chassis.settings import PlatformSettings

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

PENSTOCK = Path(sys.executable).parent / "penstock"
SOON_SECONDS = 30.0
SECRET = "word-of-the-user"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def settings() -> AsyncIterator[PlatformSettings]:
    with DataDir.ephemeral() as directory:
        async with EmbeddedNats(directory) as nats, EmbeddedObjects(directory) as objects:
            yield PlatformSettings().model_copy(
                update={
                    "nats_url": nats.url,
                    "objects_endpoint": objects.endpoint,
                    "objects_access_key": objects.access_key,
                    "objects_secret_key": SecretStr(objects.secret_key),
                }
            )


def closed_port() -> int:
    """A port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


async def bad(settings: PlatformSettings, **changes: object) -> list[Answer]:
    """The answers that are not well under changed settings."""
    answers = await ask_servers(settings.model_copy(update=changes))
    return [answer for answer in answers if not answer.ok]


async def test_servers_that_are_there_are_well(settings: PlatformSettings) -> None:
    answers = await ask_servers(settings)
    assert [answer.what for answer in answers if answer.ok] == [
        "bus",
        "JetStream",
        "synced appends",
        "object store",
    ]


async def test_a_bus_that_is_not_there_is_named_with_its_variable_and_without_its_password(
    settings: PlatformSettings,
) -> None:
    port = closed_port()
    (said,) = await bad(settings, nats_url=f"nats://me:{SECRET}@127.0.0.1:{port}")
    assert said.what == "bus"
    assert f"127.0.0.1:{port} (PENSTOCK_NATS_URL) cannot be reached" in said.said
    assert SECRET not in f"{said}"


async def test_one_server_of_several_is_enough(settings: PlatformSettings) -> None:
    urls = f"nats://127.0.0.1:{closed_port()},{settings.nats_url}"
    assert await bad(settings, nats_url=urls) == []


async def test_a_store_that_is_not_there_is_named_with_its_variable(
    settings: PlatformSettings,
) -> None:
    address = f"127.0.0.1:{closed_port()}"
    (said,) = await bad(settings, objects_endpoint=address)
    assert f"{address} (PENSTOCK_OBJECTS_ENDPOINT) cannot be reached" in said.said


async def test_wrong_keys_of_the_store_are_told_from_a_store_that_is_not_there(
    settings: PlatformSettings,
) -> None:
    (said,) = await bad(settings, objects_secret_key=SecretStr(SECRET))
    assert "refuses bucket" in said.said
    assert "PENSTOCK_OBJECTS_SECRET_KEY" in said.hint
    assert SECRET not in f"{said}"


@pytest.mark.parametrize("options", [[], ["--user", "me", "--pass", "other", "--jetstream"]])
async def test_a_bus_without_jetstream_or_with_another_password_says_so(
    settings: PlatformSettings, options: list[str], tmp_path: Path
) -> None:
    port = closed_port()
    command = [str(find(NATS_SERVER)), "--addr", "127.0.0.1", "--port", str(port)]
    server = await asyncio.create_subprocess_exec(
        *command, "--store_dir", str(tmp_path), *options, stderr=asyncio.subprocess.PIPE
    )
    try:
        assert server.stderr is not None
        async with asyncio.timeout(SOON_SECONDS):
            while b"Server is ready" not in await server.stderr.readline():
                pass
        (said,) = await bad(settings, nats_url=f"nats://me:{SECRET}@127.0.0.1:{port}")
        if options:
            assert "refuses the user or password" in said.said
        else:
            assert said.what == "JetStream"
            assert "jetstream" in said.hint
    finally:
        server.kill()
        await server.communicate()


async def test_settings_name_servers_where_the_environment_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in os.environ:
        if name.startswith("PENSTOCK_"):
            monkeypatch.delenv(name)
    assert not are_named(PlatformSettings())
    monkeypatch.setenv("PENSTOCK_OBJECTS_ENDPOINT", "127.0.0.1:1")
    assert are_named(PlatformSettings())


async def command(tmp_path: Path, *words: str, **variables: str) -> tuple[int | None, str, str]:
    """Run `penstock`; exit status, standard output and error."""
    told = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **variables}
    process = await asyncio.create_subprocess_exec(
        PENSTOCK,
        *words,
        env=told,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(SOON_SECONDS):
        out, talk = await process.communicate()
    return process.returncode, out.decode(), talk.decode()


def told_of(settings: PlatformSettings) -> dict[str, str]:
    """The variables that name these servers."""
    return {
        "PENSTOCK_NATS_URL": settings.nats_url,
        "PENSTOCK_OBJECTS_ENDPOINT": settings.objects_endpoint,
        "PENSTOCK_OBJECTS_ACCESS_KEY": settings.objects_access_key,
        "PENSTOCK_OBJECTS_SECRET_KEY": settings.objects_secret_key.get_secret_value(),
    }


async def test_a_service_without_a_store_ends_with_one_line_of_error_and_doctor_agrees(
    settings: PlatformSettings, tmp_path: Path
) -> None:
    address = f"127.0.0.1:{closed_port()}"
    told = told_of(settings) | {"PENSTOCK_OBJECTS_ENDPOINT": address}
    status, _, talk = await command(tmp_path, "service", "run", "scheduler", **told)
    assert status == 1
    error, hint = talk.splitlines()
    assert error.startswith("error: ")
    assert f"{address} (PENSTOCK_OBJECTS_ENDPOINT) cannot be reached" in error
    assert hint.startswith("hint: ")
    status, out, _ = await command(tmp_path, "doctor", **told)
    assert status == 1
    assert "(PENSTOCK_OBJECTS_ENDPOINT) cannot be reached" in out


async def test_a_service_without_a_bus_says_so_once_and_waits_for_it_and_doctor_agrees(
    settings: PlatformSettings, tmp_path: Path
) -> None:
    address = f"127.0.0.1:{closed_port()}"
    told = told_of(settings) | {"PENSTOCK_NATS_URL": f"nats://{address}"}
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **told}
    service = await asyncio.create_subprocess_exec(
        *(PENSTOCK, "service", "run", "scheduler"),
        env=environment,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert service.stderr is not None
        async with asyncio.timeout(SOON_SECONDS):
            error = (await service.stderr.readline()).decode()
            hint = (await service.stderr.readline()).decode()
            lines = [(await service.stderr.readline()).decode() for _ in range(2)]
        assert f"{address} (PENSTOCK_NATS_URL) cannot be reached" in error
        assert "waiting for it" in error
        assert hint.startswith("hint: ")
        assert sum('"event": "bus"' in line for line in lines) == 1, lines
        status, out, _ = await command(tmp_path, "doctor", **told)
        assert status == 1
        assert "(PENSTOCK_NATS_URL) cannot be reached" in out
        assert service.returncode is None
        service.terminate()
        async with asyncio.timeout(SOON_SECONDS):
            rest = (await service.stderr.read()).decode()
            await service.wait()
        assert '"event": "bus"' not in rest, "the same words again"
        assert "Traceback" not in rest
        assert service.returncode == 0
    finally:
        if service.returncode is None:
            service.kill()
            await service.communicate()
