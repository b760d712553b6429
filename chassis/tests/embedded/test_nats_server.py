from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import time
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path

import nats
import pytest
from nats.js.api import StorageType

from penstock_chassis.embedded import (
    DataDir,
    EmbeddedNats,
    NotReadyError,
    PortBusyError,
    UnexpectedExit,
    loopback,
)
from penstock_chassis.embedded.nats_server import NatsConfig

Until = Callable[[Callable[[], bool]], Awaitable[None]]


async def append(url: str, payload: bytes) -> int:
    client = await nats.connect(url)
    try:
        stream = client.jetstream()
        await stream.add_stream(name="LOG", subjects=["log.>"], storage=StorageType.FILE)
        return (await stream.publish("log.x", payload)).seq
    finally:
        await client.close()


async def read(url: str, sequence: int) -> bytes | None:
    client = await nats.connect(url)
    try:
        return (await client.jetstream().get_msg("LOG", sequence)).data
    finally:
        await client.close()


async def test_it_is_ready_when_start_returns_and_listens_on_loopback_only(
    directory: DataDir,
) -> None:
    began = time.monotonic()
    async with EmbeddedNats(directory) as server:
        assert time.monotonic() - began < 5
        assert await append(server.url, b"one") == 1
        assert server.process.pid is not None
        addresses = loopback.listening_addresses(server.process.pid)
        assert len(addresses) == 2
        assert {address for address, _ in addresses} == {"127.0.0.1"}


async def test_it_syncs_before_it_acknowledges(directory: DataDir) -> None:
    async with EmbeddedNats(directory) as server:
        url = f"{server.monitor_url}/jsz"
        reply = await asyncio.to_thread(lambda: urllib.request.urlopen(url, timeout=5).read())
        config = json.loads(reply)["config"]
        assert config["sync_always"] is True
        assert config["max_storage"] == 64 * 1024**3
        assert config["store_dir"].startswith(str(directory.nats))


async def test_killed_it_comes_back_on_the_same_port_and_data_within_a_second(
    directory: DataDir, until: Until
) -> None:
    exits: list[UnexpectedExit] = []
    async with EmbeddedNats(directory, on_exit=exits.append) as server:
        url, sequence = server.url, await append(server.url, b"kept")
        for kills in (1, 2, 3):
            pid = server.process.pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            began = time.monotonic()
            await until(lambda kills=kills: server.process.restarts == kills)  # type: ignore[misc]
            await server.wait_ready()
            assert time.monotonic() - began < 2
            assert server.url == url
            assert await read(url, sequence) == b"kept"
        assert [exit.returncode for exit in exits] == [-signal.SIGKILL] * 3


async def test_the_next_run_has_the_same_port_and_data(directory: DataDir) -> None:
    async with EmbeddedNats(directory) as first:
        url, sequence = first.url, await append(first.url, b"kept")
    async with EmbeddedNats(directory) as second:
        assert second.url == url
        assert await read(url, sequence) == b"kept"


async def test_another_port_is_taken_where_the_last_one_is_busy(directory: DataDir) -> None:
    async with EmbeddedNats(directory) as first:
        url, sequence = first.url, await append(first.url, b"kept")
    with socket.create_server((loopback.HOST, int(url.rpartition(":")[2]))):
        async with EmbeddedNats(directory) as second:
            assert second.url != url
            assert await read(second.url, sequence) == b"kept"


async def test_a_fixed_port_is_used_and_a_busy_one_is_refused_naming_its_holder(
    directory: DataDir,
) -> None:
    (port,) = loopback.choose(1)
    async with EmbeddedNats(directory, port) as server:
        assert server.url == f"nats://127.0.0.1:{port}"
    with (
        socket.create_server((loopback.HOST, port)),
        pytest.raises(PortBusyError) as caught,
    ):
        await EmbeddedNats(directory, port).start()
    assert f"port {port} for nats is already in use by " in str(caught.value)
    assert f"(pid {os.getpid()})" in str(caught.value)
    assert "penstock down" in caught.value.hint


async def test_a_server_that_cannot_start_fails_at_once_with_its_last_words(
    directory: DataDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    impostor = tmp_path / "nats-server"
    impostor.write_text("#!/bin/sh\necho no space left; exit 3\n")
    impostor.chmod(0o700)
    monkeypatch.setenv("PENSTOCK_NATS_SERVER", str(impostor))
    began = time.monotonic()
    with pytest.raises(NotReadyError, match=r"status 3(.|\n)*no space left"):
        await EmbeddedNats(directory).start()
    assert time.monotonic() - began < 5, "it must not wait for the deadline"


async def test_a_server_that_never_answers_is_stopped_at_the_deadline(
    directory: DataDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mute = tmp_path / "nats-server"
    mute.write_text("#!/bin/sh\nexec sleep 60\n")
    mute.chmod(0o700)
    monkeypatch.setenv("PENSTOCK_NATS_SERVER", str(mute))
    monkeypatch.setattr(EmbeddedNats, "ready_seconds", 0.2)
    server = EmbeddedNats(directory)
    with pytest.raises(NotReadyError, match=r"did not answer within 0\.2 s"):
        await server.start()
    assert server.process.pid is None


async def test_payloads_above_the_limit_are_refused(directory: DataDir) -> None:
    async with EmbeddedNats(directory, max_payload_bytes=1000) as server:
        client = await nats.connect(server.url)
        with pytest.raises(nats.errors.MaxPayloadError):
            await client.publish("log.x", bytes(1001))
        await client.close()


def test_paths_with_quotes_and_spaces_survive_the_configuration() -> None:
    odd = Path('/a "quoted" path/with \\ and ü')
    rendered = NatsConfig("n", 1, 2, store_dir=odd, pid_file=odd).render()
    assert json.loads(rendered)["jetstream"]["store_dir"] == str(odd)


async def test_it_runs_in_a_directory_with_an_odd_name(tmp_path: Path) -> None:
    directory = DataDir(tmp_path / 'a "quoted" nämé with spaces')
    with directory.locked():
        async with EmbeddedNats(directory) as server:
            assert await append(server.url, b"one") == 1
        assert any((directory.nats / "jetstream").rglob("*.blk"))
