"""The embedded S3 server: `weed mini` on loopback, with one generated administrator, and the
credentials of namespaces that it is given (`penstock_chassis.accounts.objects`).

Guarantees: ready means that a PUT has succeeded (after a crash its list works seconds before its
writes do); credentials are made once per data directory and kept at mode 0600; an object
survives SIGKILL of the server once its PUT returned, and a power cut once `sync` returned after.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from penstock_chassis.accounts.book import Credential
from penstock_chassis.accounts.objects import object_identities
from penstock_chassis.embedded import binaries, loopback, weed_command
from penstock_chassis.embedded.datadir import DataDir
from penstock_chassis.embedded.durability import FilesystemSync
from penstock_chassis.embedded.files import write_private
from penstock_chassis.embedded.portmemory import PortMemory
from penstock_chassis.embedded.probe import PutProbe
from penstock_chassis.embedded.process import ManagedProcess, Stopped, UnexpectedExit
from penstock_chassis.embedded.server import EmbeddedServer
from penstock_chassis.embedded.weed_command import S3, Credentials

READY_SECONDS = 30.0
"""About 1 s usually; 5 s was seen after a crash on a busy machine."""
STOP_GRACE_SECONDS = 8.0
"""It takes about 2.4 s for an orderly end, most of it a fixed wait of its volume server."""
ACCESS_KEY_BYTES = 10
SECRET_KEY_BYTES = 30
SIGNING_KEY_BYTES = 32


class EmbeddedObjects(EmbeddedServer):
    """A weed child of this process over one data directory."""

    ready_seconds = READY_SECONDS
    stop_grace_seconds = STOP_GRACE_SECONDS

    def __init__(
        self,
        data_dir: DataDir,
        port: int | None = None,
        *,
        bucket: str = "penstock",
        on_exit: Callable[[UnexpectedExit], None] | None = None,
    ) -> None:
        """`port` of S3; None: the last run's where it is free, else a free one."""
        super().__init__(
            PortMemory(data_dir.run / "objects-ports.json", offsets=weed_command.PORT_OFFSETS),
            {role: port if role == S3 else None for role in weed_command.ROLES},
        )
        self._on_exit = on_exit
        self._bucket = bucket
        self._admitted: Sequence[Credential] = ()
        self._revoked: set[str] = set()
        self._parent = data_dir
        self.data_dir = data_dir.objects / "data"
        """Weed's own folder, which `sync` makes durable."""
        self.data_dir.mkdir(mode=0o700, exist_ok=True)
        self._credentials = load_credentials(data_dir.objects / "credentials.json")
        self._sync = FilesystemSync(self.data_dir)
        self._probe: PutProbe | None = None

    @property
    def endpoint(self) -> str:
        """`127.0.0.1:<port>`, as the minio client takes it (plain HTTP, path-style)."""
        return f"{loopback.HOST}:{self._chosen[S3]}"

    @property
    def url(self) -> str:
        """`http://127.0.0.1:<port>`."""
        return f"http://{self.endpoint}"

    @property
    def access_key(self) -> str:
        """Of the one administrator."""
        return self._credentials.access_key

    @property
    def secret_key(self) -> str:
        """Of the one administrator."""
        return self._credentials.secret_key

    async def sync(self) -> None:
        """Make every object PUT before this call survive a power cut. Raises OSError."""
        await self._sync.sync()

    async def admit(self, credentials: Sequence[Credential]) -> None:
        """Let in the administrator and these credentials, and no others, from now on."""
        if [one.issued for one in credentials] == [one.issued for one in self._admitted]:
            return
        kept = {one.issued.public_key for one in credentials}
        self._revoked |= {one.issued.public_key for one in self._admitted} - kept
        self._admitted = tuple(credentials)
        self._write_identities()
        if (pid := self.process.pid) is not None:  # else its restart reads it
            os.kill(pid, signal.SIGHUP)

    def _write_identities(self) -> None:
        known = object_identities(
            self._admitted,
            self.access_key,
            self.secret_key,
            self._bucket,
            sorted(self._revoked),
        )
        write_private(self.data_dir / weed_command.IDENTITIES, json.dumps(known))

    def _child(self, ports: Mapping[str, int]) -> ManagedProcess:
        binary = binaries.find(binaries.WEED)
        self._clear_leftovers(ports)
        # New keys at every start: the tokens they sign live for minutes.
        write_private(
            self.data_dir / "security.toml",
            weed_command.security(lambda: secrets.token_hex(SIGNING_KEY_BYTES)),
        )
        write_private(self.data_dir / "filer.toml", weed_command.FILER_STORE)
        self._write_identities()
        self._probe = PutProbe(f"{loopback.HOST}:{ports[S3]}", self._credentials)
        return ManagedProcess(
            "weed",
            weed_command.argv(binary, self.data_dir, ports),
            log_path=self._parent.logs / "weed.log",
            env=weed_command.environment(os.environ, self.data_dir, self._credentials),
            cwd=self.data_dir,
            restart=True,
            on_exit=self._on_exit,
            children=self._parent.children,
        )

    def _clear_leftovers(self, ports: Mapping[str, int]) -> None:
        # Weed writes its flags here and reads them back under ours: none of an earlier version's.
        (self.data_dir / "mini.options").unlink(missing_ok=True)
        for state in self.data_dir.glob("m[0-9]*"):
            # One for every master port ever used; not read again (see `master.resumeState`).
            shutil.rmtree(state)
        for socket in weed_command.grpc_sockets(ports):
            with contextlib.suppress(PermissionError):
                socket.unlink(missing_ok=True)

    async def stop(self, grace_seconds: float | None = None) -> Stopped | None:
        """Orderly end (about 2.4 s) within the grace, else SIGKILL; nothing is left behind."""
        stopped = await super().stop(grace_seconds)
        if stopped is not None:
            self._clear_leftovers(self._chosen)
        return stopped

    async def _answers(self) -> bool:
        assert self._probe is not None, "not started"
        # A refused connection costs nothing here, so that the thread is used only for real tries.
        if not await loopback.accepts(self._chosen[S3]):
            return False
        return await asyncio.to_thread(self._probe.succeeds)


def load_credentials(path: Path) -> Credentials:
    """The credentials of this data directory, made on first use and kept at mode 0600."""
    try:
        content = json.loads(path.read_text())
        return Credentials(content["access_key"], content["secret_key"])
    except FileNotFoundError:
        made = Credentials(
            secrets.token_hex(ACCESS_KEY_BYTES), secrets.token_urlsafe(SECRET_KEY_BYTES)
        )
        write_private(
            path, json.dumps({"access_key": made.access_key, "secret_key": made.secret_key})
        )
        return made
