"""`Profiler` on DuckDB, which runs in a child process of its own for each dataset version.

The platform's process pays neither for the imports nor for the memory, and a file that makes the
reader crash ends the child alone. This module imports neither DuckDB nor Arrow.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penstock_chassis.child_process import run_child
from penstock_datasets.domain.profile import Profile
from penstock_datasets.domain.tables import group_by_table
from penstock_datasets.errors import (
    DatasetsError,
    InvalidDatasetError,
    InvalidManifestError,
    ProfilerError,
)

PROFILER = "duckdb-1"
"""The profiler's version: raised with any change that gives other figures for the same files."""
CHILD_MODULE = "penstock_datasets.adapters.profile_child"
DEFAULT_TIMEOUT_SECONDS = 300.0
DEFAULT_MEMORY_BYTES = 1024**3
LOG_LINES_SHOWN = 8

_ERRORS: dict[str, type[DatasetsError]] = {
    kind.__name__: kind for kind in (InvalidDatasetError, InvalidManifestError, ProfilerError)
}


class DuckDbProfiler:
    """Runs DuckDB in a child, bounded in time and in the memory of DuckDB's buffers."""

    version = PROFILER

    def __init__(
        self,
        *,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        memory_bytes: int = DEFAULT_MEMORY_BYTES,
    ) -> None:
        self._timeout_seconds = timeout_seconds
        self._memory_bytes = memory_bytes

    async def profile(self, files: Mapping[str, Path]) -> Profile:
        """See `Profiler.profile`."""
        group_by_table(files)  # refuses a path before a process is started for it
        request = {
            "files": {path: str(place.absolute()) for path, place in files.items()},
            "memory_bytes": self._memory_bytes,
        }
        answers: list[dict[str, Any]] = []
        try:
            ended = await run_child(
                CHILD_MODULE,
                request,
                on_line=answers.append,
                timeout_seconds=self._timeout_seconds,
            )
        except TimeoutError as error:
            raise ProfilerError(
                f"stopped after {self._timeout_seconds:g} s; give the profiler more time, or "
                "register smaller versions"
            ) from error
        if ended.status != 0 or not answers:
            lines = ended.log_tail.strip().splitlines()[-LOG_LINES_SHOWN:]
            raise ProfilerError(
                f"the profiler's process ended with status {ended.status}; its last words:\n"
                + "\n".join(lines)
            )
        answer = answers[-1]
        if "error" in answer:
            raise _ERRORS[answer["error"]["kind"]](answer["error"]["message"])
        return Profile.from_json(answer["profile"])
