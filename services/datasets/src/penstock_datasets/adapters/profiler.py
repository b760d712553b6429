"""`Profiler` on DuckDB, which runs in a child process of its own for each dataset version.

The platform's process pays neither for the imports nor for the memory, and a file that makes the
reader crash ends the child alone. This module imports neither DuckDB nor Arrow.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
PASSED_VARIABLES = ("PATH", "HOME", "LANG", "TMPDIR", "SYSTEMROOT")
FIXED_VARIABLES = {"TZ": "UTC", "PYTHONUTF8": "1", "ARROW_DEFAULT_MEMORY_POOL": "system"}

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
            "timeout_seconds": self._timeout_seconds,
        }
        status, output, log = await self._run(json.dumps(request).encode())
        if status != 0:
            lines = log.decode(errors="replace").strip().splitlines()[-LOG_LINES_SHOWN:]
            raise ProfilerError(
                f"the profiler's process ended with status {status}; its last words:\n"
                + "\n".join(lines)
            )
        answer: dict[str, Any] = json.loads(output)
        if "error" in answer:
            raise _ERRORS[answer["error"]["kind"]](answer["error"]["message"])
        return Profile.from_json(answer["profile"])

    async def _run(self, request: bytes) -> tuple[int, bytes, bytes]:
        """Run the child to its end; it is gone however this returns."""
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            CHILD_MODULE,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={n: os.environ[n] for n in PASSED_VARIABLES if n in os.environ} | FIXED_VARIABLES,
        )
        try:
            async with asyncio.timeout(self._timeout_seconds):
                output, log = await child.communicate(request)
        except TimeoutError as error:
            raise ProfilerError(
                f"stopped after {self._timeout_seconds:g} s; give the profiler more time, or "
                "register smaller versions"
            ) from error
        finally:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()
        assert child.returncode is not None
        return child.returncode, output, log
