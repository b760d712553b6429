"""The embedded nats-server: one node with JetStream, on loopback, synced before it acknowledges.

Guarantees: an acknowledged append survives SIGKILL and a power cut (`sync_interval: always`;
NATS's default loses seconds of acknowledged writes); the same port in every run of a data
directory while that port is free, so that clients reconnect after a restart; killed, it is back
on the same port and data within about a second.

Not for networks: it asks for no credentials, and so listens on 127.0.0.1 alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock_chassis.embedded import binaries, loopback
from penstock_chassis.embedded.datadir import DataDir
from penstock_chassis.embedded.files import write_private
from penstock_chassis.embedded.portmemory import PortMemory
from penstock_chassis.embedded.process import ManagedProcess, UnexpectedExit
from penstock_chassis.embedded.server import EmbeddedServer

MAX_PAYLOAD_BYTES = 1024 * 1024
MAX_STORE_BYTES = 64 * 1024**3
"""An explicit ceiling: NATS's default, three quarters of the free disk at start, moves."""
MAX_MEMORY_BYTES = 256 * 1024**2
READY_SECONDS = 20.0
"""A store of a million messages takes 5–17 s to open on a busy machine."""
STOP_GRACE_SECONDS = 10.0
REPLY_SECONDS = 2.0

NATS = "nats"
MONITORING = "nats monitoring"


@dataclass(frozen=True)
class NatsConfig:
    """What the server is told; `render` is its configuration file."""

    server_name: str
    port: int
    monitor_port: int
    store_dir: Path
    pid_file: Path
    max_payload_bytes: int = MAX_PAYLOAD_BYTES
    max_store_bytes: int = MAX_STORE_BYTES
    max_memory_bytes: int = MAX_MEMORY_BYTES

    def render(self) -> str:
        """The configuration file, as JSON, which nats-server reads (and which quotes any path)."""
        content: dict[str, Any] = {
            "server_name": self.server_name,
            "host": loopback.HOST,
            "port": self.port,
            "http": f"{loopback.HOST}:{self.monitor_port}",
            "pid_file": str(self.pid_file),
            "max_payload": self.max_payload_bytes,
            "jetstream": {
                "store_dir": str(self.store_dir),
                "max_file_store": self.max_store_bytes,
                "max_memory_store": self.max_memory_bytes,
                "sync_interval": "always",
            },
        }
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


class EmbeddedNats(EmbeddedServer):
    """A nats-server child of this process over one data directory."""

    ready_seconds = READY_SECONDS
    stop_grace_seconds = STOP_GRACE_SECONDS

    def __init__(
        self,
        data_dir: DataDir,
        port: int | None = None,
        monitor_port: int | None = None,
        *,
        server_name: str = "penstock",
        max_payload_bytes: int = MAX_PAYLOAD_BYTES,
        max_store_bytes: int = MAX_STORE_BYTES,
        on_exit: Callable[[UnexpectedExit], None] | None = None,
    ) -> None:
        """`port` None: the last run's port where it is free, else a free one."""
        super().__init__(
            PortMemory(data_dir.run / "nats-ports.json"),
            {NATS: port, MONITORING: monitor_port},
        )
        self._data_dir = data_dir
        self._server_name = server_name
        self._max_payload_bytes = max_payload_bytes
        self._max_store_bytes = max_store_bytes
        self._on_exit = on_exit

    @property
    def url(self) -> str:
        """`nats://127.0.0.1:<port>`."""
        return f"nats://{loopback.HOST}:{self._chosen[NATS]}"

    @property
    def monitor_url(self) -> str:
        """The server's HTTP monitoring (`/healthz`, `/jsz`, `/varz`)."""
        return f"http://{loopback.HOST}:{self._chosen[MONITORING]}"

    def _child(self, ports: Mapping[str, int]) -> ManagedProcess:
        binary = binaries.find(binaries.NATS_SERVER)
        config = NatsConfig(
            server_name=self._server_name,
            port=ports[NATS],
            monitor_port=ports[MONITORING],
            store_dir=self._data_dir.nats,
            pid_file=self._data_dir.run / "nats.pid",
            max_payload_bytes=self._max_payload_bytes,
            max_store_bytes=self._max_store_bytes,
        )
        config_path = self._data_dir.nats / "nats-server.json"
        write_private(config_path, config.render())
        return ManagedProcess(
            "nats-server",
            [binary, "--config", config_path],
            log_path=self._data_dir.logs / "nats-server.log",
            restart=True,
            on_exit=self._on_exit,
            children=self._data_dir.children,
        )

    async def _answers(self) -> bool:
        return await jetstream_answers(self._chosen[NATS])


async def jetstream_answers(port: int) -> bool:
    """One `$JS.API.INFO` request in the plain NATS protocol: cheaper than a whole client."""
    try:
        async with asyncio.timeout(REPLY_SECONDS):
            reader, writer = await asyncio.open_connection(loopback.HOST, port)
            try:
                writer.write(
                    b'CONNECT {"verbose":false}\r\nSUB r 1\r\nPUB $JS.API.INFO r 0\r\n\r\n'
                )
                while line := await reader.readline():
                    if line.startswith(b"MSG r 1"):
                        # Not ready yet: the account answers with an error until its store is open.
                        return b'"error"' not in await reader.readline()
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    except (OSError, TimeoutError):
        return False
    return False
