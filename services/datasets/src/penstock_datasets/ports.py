"""What the datasets service needs of the world."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from penstock_datasets.domain.profile import Profile


class Profiler(Protocol):
    """Says what the files of a dataset version hold."""

    async def profile(self, files: Mapping[str, Path]) -> Profile:
        """Profile the tables in `files`: path in the dataset → file on this machine.

        Files that belong to no table are passed over. The same files give an equal profile. Raises
        `InvalidDatasetError` naming the path (not Parquet, other columns than its table's),
        `InvalidManifestError` (a path that can name no table) or `ProfilerError`.
        """
        ...
