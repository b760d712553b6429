from __future__ import annotations

import os
import socket

import pytest

from penstock_chassis.embedded import EmbeddedError, loopback


def test_chosen_ports_are_free_with_their_offset_and_differ() -> None:
    ports = loopback.choose(8, offsets=(0, loopback.GRPC_OFFSET))
    assert len(set(ports)) == 8
    assert all(loopback.is_free(p) and loopback.is_free(p + 10_000) for p in ports)
    assert max(ports) + 10_000 < 32_768, "inside the range of outgoing connections"


def test_a_port_whose_offset_is_taken_is_not_free(monkeypatch: pytest.MonkeyPatch) -> None:
    (port,) = loopback.choose(1, offsets=(0, 1))
    monkeypatch.setattr(loopback, "FIRST_PORT", port)
    monkeypatch.setattr(loopback, "LAST_PORT", port)
    with socket.create_server((loopback.HOST, port + 1)):
        assert loopback.choose(1) == (port,)
        with pytest.raises(EmbeddedError, match="found no 1 free"):
            loopback.choose(1, offsets=(0, 1))


def test_the_holder_of_a_busy_port_is_named() -> None:
    with socket.create_server((loopback.HOST, 0)) as server:
        port = server.getsockname()[1]
        assert not loopback.is_free(port)
        assert f"(pid {os.getpid()})" in loopback.describe_holder(port)
        assert (loopback.HOST, port) in loopback.listening_addresses(os.getpid())


def test_addresses_of_both_families_are_read_as_they_are() -> None:
    with socket.create_server(("0.0.0.0", 0)) as v4:
        assert ("0.0.0.0", v4.getsockname()[1]) in loopback.listening_addresses(os.getpid())
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as v6:
        assert ("::1", v6.getsockname()[1]) in loopback.listening_addresses(os.getpid())


async def test_a_port_accepts_only_while_somebody_listens() -> None:
    with socket.create_server((loopback.HOST, 0)) as server:
        port = server.getsockname()[1]
        assert await loopback.accepts(port)
    assert not await loopback.accepts(port)
