"""Inputs and sources on disk: fetched once by digest, verified, kept within a bound.

The cache is divided by namespace: equal digests of two teams are fetched twice, so that knowing
a digest gives nobody the bytes of another team.
"""

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from penstock_chassis.ports import ObjectStore
from penstock_schemas import JobPlaced, JobRequested, ObjectRef
from penstock_trainer.ports import AttemptSpec


class Staging:
    """Makes attempts ready to start.

    `bytes_max` bounds what no held job uses. What is held (`hold`) is never removed.
    """

    def __init__(self, objects: ObjectStore, root: Path, python: Path, bytes_max: int) -> None:
        self._objects = objects
        self._root = root
        self._python = python
        self._bytes_max = bytes_max
        self._held: Counter[Path] = Counter()
        self._lock = asyncio.Lock()

    def hold(self, namespace: str, request: JobRequested) -> None:
        """Keep what the job uses until `release`."""
        self._held.update(self._paths(namespace, request))

    def release(self, namespace: str, request: JobRequested) -> None:
        """Undo one `hold`."""
        self._held.subtract(self._paths(namespace, request))

    async def spec(self, namespace: str, request: JobRequested, placed: JobPlaced) -> AttemptSpec:
        """Fetch what the attempt needs and describe it.

        Raises `NotFound`, `DigestMismatch`, `InvalidAttempt`.
        """
        inputs = {name: await self._fetch(namespace, ref) for name, ref in request.inputs.items()}
        files: tuple[tuple[str, Path], ...] = ()
        source = request.program.source
        if source is not None:
            local = await self._fetch(namespace, source)
            files = await asyncio.to_thread(_files, source, local)
        return AttemptSpec(
            namespace=namespace,
            job=request.job,
            attempt=placed.attempt,
            command=tuple(
                str(self._python) if word == "{python}" else word
                for word in request.program.command
            ),
            params=request.params,
            files=files,
            inputs=inputs,
            grace_seconds=request.grace_seconds,
            cpu_threads=max(1, int(placed.resources.cpu)),
            gpu_indices=placed.gpus,
        )

    def _paths(self, namespace: str, request: JobRequested) -> list[Path]:
        refs: list[ObjectRef] = list(request.inputs.values())
        if request.program.source is not None:
            refs.append(request.program.source)
        return [self._path(namespace, ref) for ref in refs]

    def _path(self, namespace: str, ref: ObjectRef) -> Path:
        return self._root / namespace / f"{ref.digest.replace(':', '-')}-{ref.kind}"

    async def _fetch(self, namespace: str, ref: ObjectRef) -> Path:
        target = self._path(namespace, ref)
        async with self._lock:
            if target.exists():
                return target
            target.parent.mkdir(parents=True, exist_ok=True)
            # Fetched beside and renamed: a trainer that dies in between leaves no half input.
            partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=target.parent))
            try:
                await self._objects.fetch(ref, partial / "object")
                (partial / "object").replace(target)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
            await asyncio.to_thread(self._trim, target)
        return target

    def _trim(self, newest: Path) -> None:
        idle = [
            path for path in self._root.glob("*/[!.]*") if self._held[path] <= 0 and path != newest
        ]
        sizes = {path: _size_bytes(path) for path in idle}
        total = sum(sizes.values())
        for path in sorted(idle, key=lambda path: path.stat().st_mtime):
            if total <= self._bytes_max:
                return
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            total -= sizes[path]


def _files(source: ObjectRef, local: Path) -> tuple[tuple[str, Path], ...]:
    if source.kind == "file":
        return ((source.uri.rsplit("/", 1)[-1], local),)
    found: Iterable[Path] = sorted(path for path in local.rglob("*") if path.is_file())
    return tuple((path.relative_to(local).as_posix(), path) for path in found)


def _size_bytes(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(part.stat().st_size for part in path.rglob("*") if part.is_file())
