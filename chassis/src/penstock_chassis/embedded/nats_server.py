"""The embedded nats-server: one node with JetStream, on loopback, synced before it acknowledges.

Guarantees: an acknowledged append survives SIGKILL and a power cut (`sync_interval: always`;
NATS's default loses seconds of acknowledged writes); the same port in every run of a data
directory while that port is free, so that clients reconnect after a restart; killed, it is back
on the same port and data within about a second.

It listens on 127.0.0.1 alone. Without a password whoever comes without a credential is the
platform; namespaces whose credentials it is given have accounts of their own
(`penstock_chassis.accounts.bus`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock_chassis.accounts.book import Credential
from penstock_chassis.accounts.bus import PLATFORM_ACCOUNT, PLATFORM_USER, bus_accounts
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

GLOBAL_ACCOUNT = "$G"
"""Where nats-server keeps what nobody in particular has."""
RELOADS = 2
"""Once does not do: after it nats-server 2.15.1 finds nobody behind the service imports of an
account that is new in it ("no responders", measured; no publish of the platform is lost)."""
RELOAD_SECONDS_MAX = 5.0
RELOAD_POLL_SECONDS = 0.01
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
    credentials: Sequence[Credential] = ()
    password: str | None = None

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
            **bus_accounts(self.credentials, self.password),
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
        password: str | None = None,
        on_exit: Callable[[UnexpectedExit], None] | None = None,
    ) -> None:
        """`port` None: the last run's port where it is free, else a free one. `password`: what the
        platform's own connections bring; None lets in whoever comes."""
        super().__init__(
            PortMemory(data_dir.run / "nats-ports.json"),
            {NATS: port, MONITORING: monitor_port},
        )
        self._data_dir = data_dir
        self._server_name = server_name
        self._max_payload_bytes = max_payload_bytes
        self._max_store_bytes = max_store_bytes
        self._password = password
        self._credentials: Sequence[Credential] = ()
        self._on_exit = on_exit

    @property
    def url(self) -> str:
        """`nats://127.0.0.1:<port>`, with the platform's password where it has one: a secret."""
        who = f"{PLATFORM_USER}:{self._password}@" if self._password else ""
        return f"nats://{who}{self.tenant_url.removeprefix('nats://')}"

    @property
    def tenant_url(self) -> str:
        """The same for those with a credential of their own."""
        return f"nats://{loopback.HOST}:{self._chosen[NATS]}"

    @property
    def monitor_url(self) -> str:
        """The server's HTTP monitoring (`/healthz`, `/jsz`, `/varz`)."""
        return f"http://{loopback.HOST}:{self._chosen[MONITORING]}"

    async def admit(self, credentials: Sequence[Credential]) -> None:
        """Let in these credentials and no others, from now on: connections of those that are not
        among them are closed, all others live on."""
        if [one.issued for one in credentials] == [one.issued for one in self._credentials]:
            return
        self._credentials = tuple(credentials)
        self._write_config(self._chosen)
        for _ in range(RELOADS):
            await self._reload()

    async def _reload(self) -> None:
        """Have the configuration read again. A server that is away reads it when it comes back."""
        before = await asyncio.to_thread(self._loaded_at)
        pid = self.process.pid
        if pid is None or not before:
            return
        os.kill(pid, signal.SIGHUP)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RELOAD_SECONDS_MAX):
                # The server tells nobody: it is asked, each time for some milliseconds.
                while await asyncio.to_thread(self._loaded_at) == before:  # noqa: ASYNC110
                    await asyncio.sleep(RELOAD_POLL_SECONDS)

    def _loaded_at(self) -> str:
        """When the server read its configuration last; nothing where it does not answer."""
        try:
            url = f"{self.monitor_url}/varz"
            with urllib.request.urlopen(url, timeout=REPLY_SECONDS) as answer:  # noqa: S310
                return str(json.load(answer)["config_load_time"])
        except (OSError, ValueError, KeyError):
            return ""

    def _child(self, ports: Mapping[str, int]) -> ManagedProcess:
        binary = binaries.find(binaries.NATS_SERVER)
        _adopt_store(self._data_dir.nats)
        return ManagedProcess(
            "nats-server",
            [binary, "--config", self._write_config(ports)],
            log_path=self._data_dir.logs / "nats-server.log",
            restart=True,
            on_exit=self._on_exit,
            children=self._data_dir.children,
        )

    def _write_config(self, ports: Mapping[str, int]) -> Path:
        config = NatsConfig(
            server_name=self._server_name,
            port=ports[NATS],
            monitor_port=ports[MONITORING],
            store_dir=self._data_dir.nats,
            pid_file=self._data_dir.run / "nats.pid",
            max_payload_bytes=self._max_payload_bytes,
            max_store_bytes=self._max_store_bytes,
            credentials=self._credentials,
            password=self._password,
        )
        config_path = self._data_dir.nats / "nats-server.json"
        write_private(config_path, config.render())
        return config_path

    async def _answers(self) -> bool:
        return await jetstream_answers(self._chosen[NATS], self._password)


async def jetstream_answers(port: int, password: str | None = None) -> bool:
    """One `$JS.API.INFO` request in the plain NATS protocol: cheaper than a whole client."""
    try:
        async with asyncio.timeout(REPLY_SECONDS):
            reader, writer = await asyncio.open_connection(loopback.HOST, port)
            try:
                options: dict[str, Any] = {"verbose": False}
                if password is not None:
                    options |= {"user": PLATFORM_USER, "pass": password}
                connect = f"CONNECT {json.dumps(options)}\r\n".encode()
                writer.write(connect + b"SUB r 1\r\nPUB $JS.API.INFO r 0\r\n\r\n")
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


def _adopt_store(folder: Path) -> None:
    """Give the platform's account what a server without accounts kept (its account was `$G`)."""
    before = folder / "jetstream" / GLOBAL_ACCOUNT
    after = folder / "jetstream" / PLATFORM_ACCOUNT
    if before.exists() and not after.exists():
        before.rename(after)
