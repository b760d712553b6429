"""TCP ports of 127.0.0.1: choosing free ones, and saying who holds a busy one.

Chosen ports lie below the kernel's ephemeral range (32768 upwards on Linux), with room for the
`port + 10000` that every port of `weed` also takes, so that no outgoing connection can land on a
port between choosing it and binding it, or while its server restarts.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path

from penstock_chassis.embedded.errors import EmbeddedError

HOST = "127.0.0.1"
FIRST_PORT = 12_000
LAST_PORT = 21_999
GRPC_OFFSET = 10_000
"""`weed` serves gRPC on every port + 10000."""
CHOOSE_ATTEMPTS = 2_000
LISTEN_STATE = "0A"

# Not the global generator: tests seed that one, and two seeded platforms must not pick one port.
_random = random.SystemRandom()


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As Go's listeners do: connections of an earlier run in TIME_WAIT do not count as busy.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def choose(
    count: int, *, offsets: Iterable[int] = (0,), avoid: Iterable[int] = ()
) -> tuple[int, ...]:
    """`count` different free ports; `port + offset` is free for each of the offsets too."""
    offsets, taken = tuple(offsets), set(avoid)
    chosen: list[int] = []
    for _ in range(CHOOSE_ATTEMPTS):
        if len(chosen) == count:
            return tuple(chosen)
        port = _random.randint(FIRST_PORT, LAST_PORT)
        if port not in taken and all(is_free(port + offset) for offset in offsets):
            taken.add(port)
            chosen.append(port)
    raise EmbeddedError(
        f"found no {count} free loopback ports between {FIRST_PORT} and {LAST_PORT}",
        hint="stop other servers on this machine, or name the ports yourself",
    )


async def accepts(port: int) -> bool:
    """Whether a server accepts connections on this loopback port now."""
    # Never by a trial bind: that would take the port from the server that is about to bind it.
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


def describe_holder(port: int) -> str:
    """Who listens on the port, in words, as far as this user may see it."""
    inodes = {inode for _, listening, inode in listening_sockets() if listening == port}
    for pid in _pids():
        if inodes & set(_socket_inodes(pid)):
            name = _read(Path(f"/proc/{pid}/comm")).strip() or "?"
            return f"{name} (pid {pid})"
    return "another process, perhaps of another user" if inodes else "another process"


def listening_sockets() -> Iterator[tuple[str, int, str]]:
    """(address, port, inode) of every listening TCP socket, from /proc; nothing where it lacks."""
    for table, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        for line in _read(Path(f"/proc/net/{table}")).splitlines()[1:]:
            fields = line.split()
            if fields[3] != LISTEN_STATE:
                continue
            raw, port = fields[1].split(":")
            # The kernel prints each 32-bit word of the address in host byte order.
            words = [bytes.fromhex(raw[i : i + 8])[::-1] for i in range(0, len(raw), 8)]
            yield socket.inet_ntop(family, b"".join(words)), int(port, 16), fields[9]


def listening_addresses(pid: int) -> list[tuple[str, int]]:
    """(address, port) of every TCP socket that the process listens on (Linux)."""
    inodes = set(_socket_inodes(pid))
    return [(address, port) for address, port, inode in listening_sockets() if inode in inodes]


def _pids() -> list[int]:
    proc = Path("/proc")
    return [int(p.name) for p in proc.iterdir() if p.name.isdigit()] if proc.is_dir() else []


def _socket_inodes(pid: int) -> Iterator[str]:
    try:
        links = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return
    for link in links:
        try:
            target = str(link.readlink())
        except OSError:
            continue
        if target.startswith("socket:["):
            yield target[len("socket:[") : -1]


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
