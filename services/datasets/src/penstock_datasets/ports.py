"""What the datasets service needs of the world."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

from penstock_datasets.domain.profile import Profile
from penstock_schemas import ObjectRef


class Profiler(Protocol):
    """Says what the files of a dataset version hold.

    `version` names the profiler's rules: every profile that it makes has it as `profiler`.
    """

    version: str

    async def profile(self, files: Mapping[str, Path]) -> Profile:
        """Profile the tables in `files`: path in the dataset → file on this machine.

        Files that belong to no table are passed over. The same files give an equal profile. Raises
        `InvalidDatasetError` naming the path (not Parquet, other columns than its table's),
        `InvalidManifestError` (a path that can name no table) or `ProfilerError`.
        """
        ...


class Folders(Protocol):
    """Versions on this machine's disk, fetched when needed and dropped when others are."""

    def hold(self, namespace: str, manifest: ObjectRef) -> AbstractAsyncContextManager[Path]:
        """The folder of a version, verified when it was fetched; it stays while it is held.

        Raises `NotFound`, `DigestMismatch` or `InvalidManifest` where it cannot be had.
        """
        ...
