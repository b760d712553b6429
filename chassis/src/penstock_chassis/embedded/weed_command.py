"""How `weed mini` is started: every flag, since its defaults are open to the world.

Undone here: vendor telemetry, listening on 0.0.0.0, the administration UI, WebDAV, the filer's and
the volume server's HTTP, which read and delete without credentials, buckets that appear by
themselves, logs in the temporary folder, a heap that never shrinks. What stays open: gRPC on
loopback, which asks for no credentials; so whoever may run processes on this machine can reach the
objects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from penstock_chassis.embedded import loopback

GO_MEMORY_LIMIT = "384MiB"
"""Unlimited, the heap grows to 800 MB and stays; at 256 MiB throughput collapses."""
GO_GARBAGE_PERCENT = "25"
"""How much garbage the heap may hold, of what lives in it (Go's default: 100). Measured: 90 MB of
its own at most instead of 145 while 45 MB of objects of 4 KB to 2.5 MB are written; after 256 MB
written and read 75 MB instead of 270; 7 % more processor time, no fewer MB/s."""
CONCURRENT_UPLOAD_LIMIT_MB = 64
VOLUME_SIZE_LIMIT_MB = 1024
MAX_VOLUMES = 4_096
"""Its default, free disk / volume size, leaves none for the second bucket of a small disk: every
bucket needs a volume of its own, however little is in it."""
TOKEN_SECONDS = 600
"""How long a token between weed's parts is good for. Its default, 10 s, is short for a machine
that stalls."""
SIGNED = ("jwt.signing", "jwt.signing.read", "jwt.filer_signing", "jwt.filer_signing.read")

S3 = "s3"
MASTER, VOLUME, FILER, ADMIN = "master", "volume", "filer", "admin"
ROLES = (S3, MASTER, VOLUME, FILER, ADMIN)
PORT_OFFSETS = (0, loopback.GRPC_OFFSET)

SOCKET_FOLDER = Path("/").joinpath("tmp")
"""Where weed, whatever TMPDIR says, puts one gRPC socket a role; SIGKILL leaves them there."""

IDENTITIES = "s3.json"
"""Who may do what, read at the start and at SIGHUP."""
INHERITED_VARIABLES = ("PATH", "LANG", "LC_ALL", "TZ")


@dataclass(frozen=True)
class Credentials:
    """The one administrator of the embedded S3 server."""

    access_key: str
    secret_key: str

    def __repr__(self) -> str:
        return f"Credentials(access_key={self.access_key!r}, secret_key='…')"


def argv(binary: Path, folder: Path, ports: Mapping[str, int]) -> list[str]:
    """The command line; `folder` is also its working directory.

    The socket names are relative to it because a Unix socket's path may have 107 bytes at most and
    a data directory's may be longer.
    """
    flags = {
        "dir": folder,
        "ip": loopback.HOST,
        "ip.bind": loopback.HOST,
        "master.telemetry": "false",
        # The state is rebuilt from the volumes in the first heartbeat. Resumed, the master is not
        # yet the leader when that comes, in one start of five, and the next comes 5 s later.
        "master.resumeState": "false",
        "master.volumeSizeLimitMB": VOLUME_SIZE_LIMIT_MB,
        "volume.max": MAX_VOLUMES,
        "admin.ui": "false",
        "webdav": "false",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "s3.autoCreateBucket": "false",
        "s3.config": folder / IDENTITIES,
        "filer.localSocket": "filer.sock",
        "s3.localSocket": "s3.sock",
        **{f"{role}.port": ports[role] for role in ROLES},
        **{
            f"{role}.concurrentUploadLimitMB": CONCURRENT_UPLOAD_LIMIT_MB
            for role in (S3, FILER, VOLUME)
        },
    }
    return [
        str(binary),
        # To our log, not to files in the temporary folder that nobody removes.
        "-logtostderr=true",
        "mini",
        "-disableHttp",
        *(f"-{name}={value}" for name, value in flags.items()),
    ]


def security(make_key: Callable[[], str]) -> str:
    """`security.toml`, found in the working directory: the parts of weed sign what they ask.

    Without it the volume server answers anyone's GET and DELETE of a chunk whose id they know.
    Costs about a tenth of small PUTs and a third of small GETs (300 of 4 KB, one client).
    """
    return "".join(
        f'[{section}]\nkey = "{make_key()}"\nexpires_after_seconds = {TOKEN_SECONDS}\n'
        for section in SIGNED
    )


FILER_STORE = '[leveldb]\nenabled = true\ndir = "./filer"\n'
"""`filer.toml`, found in the working directory: one LevelDB for the names of objects.

The default, eight of them, costs another 80 MB of idle memory in every run but the first (their
write buffers are allocated twice while their journals are replayed).
"""


def grpc_sockets(ports: Mapping[str, int]) -> list[Path]:
    """The sockets that a server on these ports leaves behind when it is killed."""
    return [
        SOCKET_FOLDER / f"seaweedfs-{role}-grpc-{port + loopback.GRPC_OFFSET}.sock"
        for role, port in ports.items()
    ]


def environment(
    inherited: Mapping[str, str], folder: Path, credentials: Credentials
) -> dict[str, str]:
    """The whole environment: nothing inherited may configure the server (WEED_*, AWS_*, HOME)."""
    return {
        **{name: inherited[name] for name in INHERITED_VARIABLES if name in inherited},
        # It looks for configuration in $HOME/.seaweedfs, and puts scratch files into $TMPDIR.
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "GOMEMLIMIT": GO_MEMORY_LIMIT,
        "GOGC": GO_GARBAGE_PERCENT,
        "AWS_ACCESS_KEY_ID": credentials.access_key,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
    }
