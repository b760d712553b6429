"""`Folders` below one folder of this machine, bounded in number."""

import asyncio
import shutil
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from penstock_chassis.ports import ObjectStore
from penstock_schemas import ObjectRef


class FolderCache:
    """Keeps the last `folders_max` versions used, and more only while more are held.

    It starts empty: what an earlier life left may be torn by a power cut.
    """

    def __init__(self, objects: ObjectStore, root: Path, folders_max: int) -> None:
        self._objects = objects
        self._root = root
        self._folders_max = folders_max
        self._kept: dict[Path, None] = {}
        """The folders that are there, least recently used first."""
        self._holders: Counter[Path] = Counter()
        self._locks: defaultdict[Path, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._is_clear = False

    @asynccontextmanager
    async def hold(self, namespace: str, manifest: ObjectRef) -> AsyncIterator[Path]:
        """See `Folders.hold`."""
        if not self._is_clear:
            self._is_clear = True
            shutil.rmtree(self._root, ignore_errors=True)
        folder = self._root / namespace / manifest.digest.replace(":", "-")
        self._holders[folder] += 1
        try:
            async with self._locks[folder]:
                if folder not in self._kept:
                    await self._objects.fetch(manifest, folder)
                self._kept.pop(folder, None)
                self._kept[folder] = None
            yield folder
        finally:
            self._holders[folder] -= 1
            self._shrink()

    def _shrink(self) -> None:
        idle = [folder for folder in self._kept if not self._holders[folder]]
        for folder in idle[: max(0, len(self._kept) - self._folders_max)]:
            del self._kept[folder]
            self._locks.pop(folder, None)
            shutil.rmtree(folder, ignore_errors=True)
