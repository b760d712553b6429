"""The servers that `penstock up` and the tests run on this machine, and their supervision.

    with DataDir(path).locked(), or DataDir.ephemeral() as directory:
        async with EmbeddedNats(directory) as nats, EmbeddedObjects(directory) as objects: ...

Everything listens on 127.0.0.1, keeps its state in one private directory, and dies with the
process that started it. In production NATS and an S3 server take their place by configuration.
"""

from penstock_chassis.embedded.binaries import NATS_SERVER, WEED, Binary, find
from penstock_chassis.embedded.datadir import DataDir, Endpoints, LockHolder, default_path
from penstock_chassis.embedded.durability import FilesystemSync, sync_filesystem
from penstock_chassis.embedded.errors import (
    BinaryNotFoundError,
    DirectoryBusyError,
    EmbeddedError,
    NotReadyError,
    PortBusyError,
)
from penstock_chassis.embedded.nats_server import EmbeddedNats
from penstock_chassis.embedded.object_server import EmbeddedObjects
from penstock_chassis.embedded.process import Backoff, ManagedProcess, Stopped, UnexpectedExit

__all__ = [
    "NATS_SERVER",
    "WEED",
    "Backoff",
    "Binary",
    "BinaryNotFoundError",
    "DataDir",
    "DirectoryBusyError",
    "EmbeddedError",
    "EmbeddedNats",
    "EmbeddedObjects",
    "Endpoints",
    "FilesystemSync",
    "LockHolder",
    "ManagedProcess",
    "NotReadyError",
    "PortBusyError",
    "Stopped",
    "UnexpectedExit",
    "default_path",
    "find",
    "sync_filesystem",
]
