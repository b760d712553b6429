"""The files that a folder's upload takes, and where a subscriber's position is kept."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from penstock.client.errors import Refused

FILES_MAX = 100_000
LEFT_OUT = ("__pycache__", ".git", ".venv", ".ipynb_checkpoints", "penstock-run")
"""Folders that are never content: caches, histories, environments and what local runs leave."""


def folder_files(folder: Path) -> dict[str, Path]:
    """The regular files below `folder` by their relative path with `/`, in order.

    Raises `Refused` for a link, a special file, no files, or too many.
    """
    found: dict[str, Path] = {}
    for base, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in LEFT_OUT)
        for name in sorted(names):
            path = Path(base, name)
            found[path.relative_to(folder).as_posix()] = _regular(path)
    if not found or len(found) > FILES_MAX:
        raise Refused(f"{folder} holds {len(found)} files; 1 to {FILES_MAX} can be taken")
    return dict(sorted(found.items()))


def source_files(source: Path) -> dict[str, Path]:
    """A program's files by their relative path: those of a folder, or the one file by its name."""
    return folder_files(source) if source.is_dir() else {source.name: _regular(source)}


def named_files(source: str | Path | Sequence[str | Path]) -> dict[str, Path]:
    """What a dataset is made from: a folder, one file, or several files by their own names."""
    if isinstance(source, str | Path):
        path = Path(source)
        return folder_files(path) if path.is_dir() else {path.name: _regular(path)}
    found: dict[str, Path] = {}
    for one in map(Path, source):
        if one.name in found:
            raise Refused(f"two files are called {one.name}", hint="put them into folders of one")
        found[one.name] = _regular(one)
    if not found:
        raise Refused("no file is given")
    return found


def _regular(path: Path) -> Path:
    if path.is_symlink() and not path.exists():
        raise Refused(f"{path} is a link to nothing")
    if not path.is_file():
        raise Refused(f"there is no file at {path}" if not path.exists() else f"{path} is no file")
    return path


class PositionFile:
    """How far a subscriber has read: one number in one small file, replaced whole."""

    def __init__(self, folder: Path, namespace: str, name: str) -> None:
        # `-` stands for all namespaces and cannot be the name of one.
        self.path = folder / "positions" / namespace / f"{name}.json"

    def read(self) -> int | None:
        """The sequence of the last event that was handled; None before the first."""
        try:
            return int(json.loads(self.path.read_text(encoding="utf-8"))["sequence"])
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise Refused(
                f"{self.path} is not a position", hint=f"remove it to start anew: rm {self.path}"
            ) from error

    def write(self, sequence: int) -> None:
        """Record that everything up to `sequence` is handled."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside = self.path.with_suffix(".tmp")
        beside.write_text(json.dumps({"sequence": sequence}) + "\n", encoding="utf-8")
        beside.replace(self.path)
