"""The directory that holds everything one platform keeps on this machine.

    nats/     the event log (nats-server's JetStream store and configuration)
    objects/  the objects (weed's data) and the key that opens them
    logs/     what the servers print
    secrets.key  seals the secrets in the log's server; without it they are lost
    run/      true only while a platform runs: lock, children, ports, endpoints

Guarantees: mode 0700 throughout; one platform at a time, by an exclusive `flock` on run/lock that
the kernel releases when its holder dies however it dies, so a stale lock needs no clearing; what a
crashed holder left running is ended before the next one starts.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from penstock_chassis.embedded.children import ChildRegistry
from penstock_chassis.embedded.errors import DirectoryBusyError, EmbeddedError
from penstock_chassis.embedded.files import write_private
from penstock_chassis.embedded.identity import ProcessIdentity
from penstock_chassis.sealing import new_key

PRIVATE_DIRECTORY_MODE = 0o700
LOCK_RETRY_SECONDS = 0.02


def default_path() -> Path:
    """`$XDG_DATA_HOME/penstock`, or `~/.local/share/penstock` (XDG Base Directory 0.8)."""
    base = os.environ.get("XDG_DATA_HOME", "")
    # The specification says to ignore a relative path here.
    root = Path(base) if Path(base).is_absolute() else Path.home() / ".local" / "share"
    return root / "penstock"


@dataclass(frozen=True)
class LockHolder:
    """The platform that holds a data directory."""

    pid: int
    since: datetime


@dataclass(frozen=True)
class Endpoints:
    """Where a running platform listens; all on loopback. Secret: holds the objects' keys."""

    nats_url: str
    nats_monitor_url: str
    objects_url: str
    objects_access_key: str
    objects_secret_key: str = field(repr=False)
    gateway_url: str = ""
    extra: dict[str, str] = field(default_factory=dict)
    """Any further address, by name."""


class DataDir:
    """One data directory: its layout, its lock, and what its holder publishes about itself."""

    def __init__(self, path: Path | None = None) -> None:
        """Creates the layout where it is missing. Raises EmbeddedError where that cannot be."""
        self.path = (path or default_path()).expanduser().absolute()
        self.nats = self.path / "nats"
        self.objects = self.path / "objects"
        self.logs = self.path / "logs"
        self.run = self.path / "run"
        try:
            for folder in (self.path, self.nats, self.objects, self.logs, self.run):
                folder.mkdir(mode=PRIVATE_DIRECTORY_MODE, parents=True, exist_ok=True)
        except OSError as error:
            raise EmbeddedError(
                f"cannot create the data directory {self.path}: {error.strerror}",
                hint="choose a writable one with --data-dir",
            ) from error
        self.children = ChildRegistry(self.run / "children.json")
        self._lock_path = self.run / "lock"
        self._endpoints_path = self.run / "platform.json"
        self._lock_file: int | None = None
        self.is_ephemeral = False

    @classmethod
    @contextlib.contextmanager
    def ephemeral(cls) -> Iterator[DataDir]:
        """A locked directory of its own that is removed at the end, for tests and trials."""
        # Files of a server that is still ending may appear while the tree is being removed.
        with tempfile.TemporaryDirectory(prefix="penstock-", ignore_cleanup_errors=True) as path:
            directory = cls(Path(path))
            directory.is_ephemeral = True
            with directory.locked():
                yield directory

    @contextlib.contextmanager
    def locked(self, *, wait_seconds: float = 0.0) -> Iterator[list[str]]:
        """Hold the directory; yields the names of leftover children that were ended first."""
        ended = self.lock(wait_seconds=wait_seconds)
        try:
            yield ended
        finally:
            self.unlock()

    def lock(self, *, wait_seconds: float = 0.0) -> list[str]:
        """Take the directory and end what a crashed holder left running (blocks up to 5 s a child).

        Returns the names of the children that were ended. Raises DirectoryBusyError.
        """
        assert self._lock_file is None, "this DataDir already holds its lock"
        # Not inherited by children (PEP 446): a child that lives on must not keep the lock.
        descriptor = os.open(self._lock_path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self._flock(descriptor, wait_seconds)
            self._lock_file = descriptor
            return self._take_over(descriptor)
        except BaseException:
            self._lock_file = None
            os.close(descriptor)
            raise

    def unlock(self) -> None:
        """Give the directory back and withdraw the endpoints. Does nothing where not held."""
        if self._lock_file is None:
            return
        self._endpoints_path.unlink(missing_ok=True)
        os.ftruncate(self._lock_file, 0)
        os.close(self._lock_file)
        self._lock_file = None

    def holder(self) -> LockHolder | None:
        """The live platform that holds this directory, as it wrote of itself; None where none."""
        try:
            record = json.loads(self._lock_path.read_text())
            identity = ProcessIdentity(int(record["pid"]), str(record["started"]))
            since = datetime.fromisoformat(record["since"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        return LockHolder(identity.pid, since) if identity.is_alive() else None

    def write_endpoints(self, endpoints: Endpoints) -> None:
        """Publish where this platform listens: run/platform.json, atomic, mode 0600."""
        assert self._lock_file is not None, "only the holder of the directory publishes endpoints"
        write_private(self._endpoints_path, json.dumps(asdict(endpoints), indent=2))

    def secrets_key_file(self) -> Path:
        """The file of the sealing key, made where it is not there."""
        path = self.path / "secrets.key"
        if not path.exists():
            write_private(path, new_key() + "\n")
        return path

    def read_endpoints(self) -> Endpoints | None:
        """Where the platform of this directory listens; None where none runs, or is not up yet."""
        if self.holder() is None:
            return None
        try:
            return Endpoints(**json.loads(self._endpoints_path.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def _flock(self, descriptor: int, wait_seconds: float) -> None:
        deadline = time.monotonic() + wait_seconds
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise self._busy() from None
                time.sleep(LOCK_RETRY_SECONDS)
            else:
                return

    def _busy(self) -> DirectoryBusyError:
        holder = self.holder()
        who = f" (pid {holder.pid}, since {holder.since:%Y-%m-%d %H:%M:%S %Z})" if holder else ""
        return DirectoryBusyError(
            f"another penstock up{who} uses {self.path}",
            hint="stop it with `penstock down`, or choose another directory with --data-dir",
        )

    def _take_over(self, descriptor: int) -> list[str]:
        self._endpoints_path.unlink(missing_ok=True)
        ended = self.children.terminate_stale()
        me = ProcessIdentity.of(os.getpid())
        record = {
            "pid": os.getpid(),
            "started": me.started if me else "",
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        # Written in place: a new file would not carry the lock.
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(record).encode(), 0)
        return ended
