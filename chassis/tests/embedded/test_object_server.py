from __future__ import annotations

import asyncio
import io
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from minio import Minio
from minio.error import S3Error

from penstock_chassis.embedded import (
    DataDir,
    EmbeddedObjects,
    FilesystemSync,
    PortBusyError,
    durability,
    loopback,
    sync_filesystem,
    weed_command,
)

Until = Callable[[Callable[[], bool]], Awaitable[None]]
BODY = bytes(range(256)) * 100


def environment_of(pid: int) -> list[bytes]:
    return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")


def client_of(server: EmbeddedObjects) -> Minio:
    return Minio(server.endpoint, server.access_key, server.secret_key, secure=False)


def put(server: EmbeddedObjects, key: str) -> None:
    client = client_of(server)
    if not client.bucket_exists("bucket"):
        client.make_bucket("bucket")
    client.put_object("bucket", key, io.BytesIO(BODY), len(BODY))


def get(server: EmbeddedObjects, key: str) -> bytes:
    response = client_of(server).get_object("bucket", key)
    try:
        return bytes(response.read())
    finally:
        response.close()
        response.release_conn()


async def test_objects_survive_sigkill_and_an_orderly_restart_on_the_same_port(
    directory: DataDir, until: Until
) -> None:
    server = EmbeddedObjects(directory)
    began = time.monotonic()
    await server.start()
    assert time.monotonic() - began < 10
    put(server, "first")
    await server.sync()

    # Killed: supervised back to life on the same port.
    endpoint, pid = server.endpoint, server.process.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await until(lambda: server.process.restarts == 1)
    await server.wait_ready()
    assert server.endpoint == endpoint
    assert get(server, "first") == BODY
    put(server, "second")

    stopped = await server.stop()
    assert stopped is not None
    assert not stopped.killed
    assert stopped.seconds < 6
    async with EmbeddedObjects(directory) as again:
        assert again.endpoint == endpoint
        assert (again.access_key, again.secret_key) == (server.access_key, server.secret_key)
        assert [get(again, key) for key in ("first", "second")] == [BODY, BODY]


async def test_objects_are_there_after_a_restart_on_other_ports(directory: DataDir) -> None:
    async with EmbeddedObjects(directory) as first:
        put(first, "kept")
        endpoint = first.endpoint
    (directory.run / "objects-ports.json").unlink()
    async with EmbeddedObjects(directory) as second:
        assert second.endpoint != endpoint
        assert get(second, "kept") == BODY
    assert not list(second.data_dir.glob("m[0-9]*"))
    assert not [s for s in weed_command.grpc_sockets(second._chosen) if s.exists()]


async def test_it_is_closed_to_everyone_without_the_key_and_to_the_network(
    directory: DataDir,
) -> None:
    async with EmbeddedObjects(directory) as server:
        put(server, "secret")
        for stranger in (
            Minio(server.endpoint, secure=False),
            Minio(server.endpoint, server.access_key, "wrong", secure=False),
        ):
            with pytest.raises(S3Error, match=r"AccessDenied|SignatureDoesNotMatch"):
                stranger.get_object("bucket", "secret")
            with pytest.raises(S3Error, match=r"AccessDenied|SignatureDoesNotMatch"):
                stranger.put_object("bucket", "mine", io.BytesIO(b""), 0)
        with pytest.raises(S3Error, match="NoSuchBucket"):
            client_of(server).put_object("absent", "key", io.BytesIO(b""), 0)

        # The plain HTTP of these two would serve objects, and delete them, without credentials.
        for role, request, answer in (
            ("filer", b"GET /buckets/bucket/secret", b" 404 "),
            ("volume", b"GET /2,0123456789", b" 401 "),
            ("volume", b"DELETE /2,0123456789", b" 401 "),
        ):
            reader, writer = await asyncio.open_connection(loopback.HOST, server._chosen[role])
            writer.write(request + b" HTTP/1.0\r\n\r\n")
            assert answer in await reader.readline()
            writer.close()

        pid = server.process.pid
        assert pid is not None
        addresses = loopback.listening_addresses(pid)
        assert len(addresses) == 10
        assert {address for address, _ in addresses} == {"127.0.0.1"}
        environment = environment_of(pid)
        assert b"GOMEMLIMIT=384MiB" in environment
        assert b"GOGC=25" in environment
    credentials = directory.objects / "credentials.json"
    assert credentials.stat().st_mode & 0o777 == 0o600
    assert server.secret_key not in (directory.logs / "weed.log").read_text()


async def test_a_busy_fixed_port_is_refused_also_where_only_its_grpc_port_is_taken(
    directory: DataDir,
) -> None:
    (port,) = loopback.choose(1, offsets=(0, loopback.GRPC_OFFSET))
    for taken in (port, port + loopback.GRPC_OFFSET):
        with (
            socket.create_server((loopback.HOST, taken)),
            pytest.raises(PortBusyError, match=rf"port {taken} for s3 is already in use by "),
        ):
            await EmbeddedObjects(directory, port).start()


async def test_a_data_directory_with_a_path_too_long_for_sockets_works(tmp_path: Path) -> None:
    directory = DataDir(tmp_path / ("long" * 30))
    with directory.locked():
        async with EmbeddedObjects(directory) as server:
            put(server, "key")
            assert get(server, "key") == BODY


def test_nothing_inherited_configures_the_server(tmp_path: Path) -> None:
    inherited = {"PATH": "p", "WEED_S3_X": "1", "AWS_PROFILE": "x", "HOME": "h", "S3_BUCKET": "b"}
    made = weed_command.environment(inherited, tmp_path, weed_command.Credentials("a", "s"))
    assert made["PATH"] == "p"
    assert made["HOME"] == str(tmp_path)
    assert not {"WEED_S3_X", "AWS_PROFILE", "S3_BUCKET"} & made.keys()


def test_the_command_line_leaves_no_open_default(tmp_path: Path) -> None:
    ports = {role: 1000 + n for n, role in enumerate(weed_command.ROLES)}
    flags = weed_command.argv(Path("/weed"), tmp_path, ports)
    assert {
        "-disableHttp",
        "-ip.bind=127.0.0.1",
        "-master.telemetry=false",
        "-admin.ui=false",
        "-webdav=false",
        "-s3.autoCreateBucket=false",
        "-volume.max=4096",
        *(f"-{role}.port={port}" for role, port in ports.items()),
    } <= set(flags)
    assert not any("0.0.0.0" in flag for flag in flags)


def test_sync_reports_a_folder_that_is_not_there(tmp_path: Path) -> None:
    sync_filesystem(tmp_path)
    with pytest.raises(FileNotFoundError):
        sync_filesystem(tmp_path / "absent")


async def test_callers_that_wait_together_share_one_sync_that_began_after_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, until: Until
) -> None:
    loop, release = asyncio.get_running_loop(), asyncio.Event()
    starts = 0

    def slow(path: Path) -> None:
        nonlocal starts
        starts += 1
        asyncio.run_coroutine_threadsafe(release.wait(), loop).result(timeout=5)

    monkeypatch.setattr(durability, "sync_filesystem", slow)
    sync = FilesystemSync(tmp_path)
    first = asyncio.ensure_future(sync.sync())
    await until(lambda: starts == 1)
    later = [asyncio.ensure_future(sync.sync()) for _ in range(5)]
    await asyncio.sleep(0)
    assert starts == 1
    release.set()
    await asyncio.gather(first, *later)
    assert starts == 2, "one for the first, one more for the five that came while it ran"
