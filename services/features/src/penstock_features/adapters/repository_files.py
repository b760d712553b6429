"""The files of a user's Feast repository: copied, given the dataset's, its settings read.

The user's own folder is never written to. Nothing here needs Feast, so that what is wrong with
files is said at once.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from penstock_features.errors import InvalidRequestError, RepositoryError

CONFIG_NAME = "feature_store.yaml"
DATA_FOLDER = "data"
MAX_REPOSITORY_BYTES = 256 * 1024 * 1024
_SKIPPED = (".git", ".venv", "__pycache__", ".ipynb_checkpoints", ".pytest_cache")
_ROW_DROPPING_STORES = ("dask", "file")


def copy_repository(source: Path, destination: Path, tables: Mapping[str, Sequence[Path]]) -> None:
    """Copy the repository and place each table's files under `data/<table>/`.

    Tables that lie there already, from a run by hand, give way to the dataset's.
    """
    if not (source / CONFIG_NAME).is_file():
        raise RepositoryError(
            f"the repository has no {CONFIG_NAME} at its root; add one (see `feast init`)"
        )
    if destination.exists():
        raise InvalidRequestError(
            f"output: it holds {destination.name!r} from an earlier run; give an empty folder"
        )

    def skip(folder: str, names: list[str]) -> set[str]:
        is_data = Path(folder) == source / DATA_FOLDER
        return {name for name in names if name in _SKIPPED or (is_data and name in tables)}

    _check_before_copy(source)
    shutil.copytree(source, destination, ignore=skip)
    for name, files in tables.items():
        _place(files, destination / DATA_FOLDER / name)


def read_config(repository: Path) -> tuple[dict[str, Any], list[str]]:
    """Read `feature_store.yaml`, `${NAME}` replaced from the environment as Feast does.

    Returns its settings and warnings. One setting is changed: the default (dask) join becomes the
    DuckDB one, because the default drops rows (feast#6787).
    """
    path = repository / CONFIG_NAME
    try:
        raw = yaml.safe_load(os.path.expandvars(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RepositoryError(f"{CONFIG_NAME}: not readable as YAML: {error}") from error
    if not isinstance(raw, dict):
        raise RepositoryError(f"{CONFIG_NAME}: it must be a mapping with `project`, `registry`, …")
    offline = raw.get("offline_store")
    kind = offline.get("type", "dask") if isinstance(offline, dict) else offline or "dask"
    if kind not in _ROW_DROPPING_STORES:
        return raw, []
    warning = (
        f"{CONFIG_NAME}: the join ran on the duckdb offline store, because {kind!r} drops rows "
        "with equal key and time (feast#6787); set `offline_store: {type: duckdb}`"
    )
    return raw | {"offline_store": {"type": "duckdb"}}, [warning]


def _check_before_copy(source: Path) -> None:
    size_bytes = 0
    root = source.resolve()
    for folder, subfolders, names in os.walk(source):
        subfolders[:] = [name for name in subfolders if name not in _SKIPPED]
        for name in (*names, *subfolders):
            path = Path(folder) / name
            if path.is_symlink() and not path.resolve().is_relative_to(root):
                raise RepositoryError(
                    f"{path.relative_to(source)}: a link that leads out of the repository; "
                    "put the file itself there"
                )
        if Path(folder).relative_to(source).parts[:1] != (DATA_FOLDER,):
            size_bytes += sum((Path(folder) / name).stat().st_size for name in names)
    if size_bytes > MAX_REPOSITORY_BYTES:
        raise RepositoryError(
            f"the repository is {size_bytes >> 20} MiB; at most {MAX_REPOSITORY_BYTES >> 20} MiB "
            "are taken: keep data out of it, or under data/"
        )


def _place(files: Sequence[Path], folder: Path) -> None:
    """Hard-link the files in (copy across file systems), in an order that sorts as given."""
    folder.mkdir(parents=True)
    names = [path.name for path in files]
    in_order = names == sorted(set(names)) and all(name.endswith(".parquet") for name in names)
    for index, path in enumerate(files):
        target = folder / (path.name if in_order else f"{index:05}.parquet")
        try:
            target.hardlink_to(path)
        except OSError:
            shutil.copyfile(path, target)
