"""Folders as objects: a canonical manifest of `{path, size_bytes, digest}`, sorted by path.

Equal folders have equal manifests, so the digest of the manifest names the content.
"""

import json
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from penstock_chassis.errors import ChassisError

FILES_MAX = 100_000
PATH_LENGTH_MAX = 1024


class FolderEntry(NamedTuple):
    """One file of a folder; `path` is relative, with `/`."""

    path: str
    size_bytes: int
    digest: str


class InvalidManifest(ChassisError):
    """The folder's manifest is not one of ours, or names a path outside of the folder."""


def check_path(path: str) -> str:
    """A path that stays inside its folder on every system; raises `ValueError` saying why not."""
    parts = PurePosixPath(path).parts
    if not path or len(path) > PATH_LENGTH_MAX or path != str(PurePosixPath(path)):
        raise ValueError(f"the path {path[:80]!r} is empty, too long or not in its shortest form")
    if path.startswith("/") or ".." in parts or "\\" in path:
        raise ValueError(f"the path {path!r} must be relative, without '..' or backslashes")
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in path):
        raise ValueError(f"the path {path!r} holds a control character")
    return path


def folder_files(folder: Path) -> list[str]:
    """The relative paths of the regular files below a folder, sorted.

    Raises `ValueError` for a link or a special file, naming it, and where there are too many.
    Byte-code caches are left out: they are not content.
    """
    names = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if "__pycache__" in path.parts:
            continue
        if path.is_symlink():
            raise ValueError(f"{name} is a link: put a copy of the file in its place")
        if path.is_dir():
            continue
        if not path.is_file():
            raise ValueError(f"{name} is not a regular file")
        names.append(check_path(name))
    if len(names) > FILES_MAX:
        raise ValueError(f"the folder holds {len(names)} files; at most {FILES_MAX}")
    return names


def render_manifest(entries: Iterable[FolderEntry]) -> bytes:
    """The canonical bytes of a manifest."""
    files = [entry._asdict() for entry in sorted(entries)]
    return json.dumps({"files": files}, sort_keys=True, separators=(",", ":")).encode()


def parse_manifest(data: bytes) -> list[FolderEntry]:
    """Read a manifest; raises `InvalidManifest`."""
    try:
        document: Any = json.loads(data)
        return [
            FolderEntry(check_path(f["path"]), int(f["size_bytes"]), str(f["digest"]))
            for f in document["files"]
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidManifest(f"not a folder's manifest: {error}") from error
