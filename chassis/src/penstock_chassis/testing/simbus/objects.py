"""The object store of a simulated world: content-addressed, verified on every read."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from penstock_chassis.digests import digest_of, new_hasher
from penstock_chassis.errors import DigestMismatch, NotFound, TooLarge
from penstock_chassis.folders import FolderEntry, folder_files, parse_manifest, render_manifest
from penstock_chassis.testing.simbus.incarnation import Incarnation
from penstock_schemas import ObjectRef, check_own

BUCKET = "penstock"

T = TypeVar("T")


class SimObjectStore:
    """`ObjectStore` on a mapping from URI to bytes. Files on disk are the caller's, and real."""

    def __init__(self, stored: dict[str, bytes], incarnation: Incarnation) -> None:
        self._stored = stored
        self._incarnation = incarnation

    async def put(self, namespace: str, data: bytes) -> ObjectRef:
        """See `ObjectStore.put`."""
        return await self._call("put", lambda: self._store(namespace, bytes(data)))

    async def put_file(self, namespace: str, path: Path) -> ObjectRef:
        """See `ObjectStore.put_file`."""
        return await self._call("put_file", lambda: self._store(namespace, path.read_bytes()))

    async def put_folder(self, namespace: str, path: Path) -> ObjectRef:
        """See `ObjectStore.put_folder`."""
        return await self._call("put_folder", lambda: self._store_folder(namespace, path))

    async def get(self, ref: ObjectRef, size_bytes_max: int = 64 * 2**20) -> bytes:
        """See `ObjectStore.get`."""
        return await self._call("get", lambda: self._verified(ref, size_bytes_max))

    async def fetch(self, ref: ObjectRef, target: Path) -> None:
        """See `ObjectStore.fetch`."""
        await self._call("fetch", lambda: self._fetch(ref, target))

    async def read_uri(self, namespace: str, uri: str, target: Path) -> None:
        """See `ObjectStore.read_uri`."""
        check_own(uri, namespace, BUCKET)
        await self._call("read_uri", lambda: target.write_bytes(self._raw(uri)))

    async def _call(self, name: str, effect: Callable[[], T]) -> T:
        return await self._incarnation.call(f"objects.{name}", effect)

    def _store(self, namespace: str, data: bytes) -> ObjectRef:
        ref = _ref(namespace, digest_of(data), len(data))
        self._stored.setdefault(ref.uri, data)
        return ref

    def _store_folder(self, namespace: str, path: Path) -> ObjectRef:
        entries = []
        for name in folder_files(path):
            stored = self._store(namespace, (path / name).read_bytes())
            entries.append(FolderEntry(name, stored.size_bytes, stored.digest))
        manifest = self._store(namespace, render_manifest(entries))
        total = sum(entry.size_bytes for entry in entries)
        return manifest.model_copy(update={"kind": "folder", "size_bytes": total})

    def _raw(self, uri: str) -> bytes:
        try:
            return self._stored[uri]
        except KeyError:
            raise NotFound(f"there is no object {uri}") from None

    def _verified(self, ref: ObjectRef, size_bytes_max: int | None = None) -> bytes:
        data = self._raw(ref.uri)
        if size_bytes_max is not None and len(data) > size_bytes_max:
            raise TooLarge(f"{ref.uri} has {len(data)} bytes; at most {size_bytes_max} here")
        hasher = new_hasher(ref.digest)
        hasher.update(data)
        if not hasher.matches():
            raise DigestMismatch(f"{ref.uri}: expected {ref.digest}, got {hasher.digest()}")
        return data

    def _fetch(self, ref: ObjectRef, target: Path) -> None:
        """Verify everything first: nothing is left at `target` on failure."""
        files = {".": self._verified(ref)}
        if ref.kind == "folder":
            namespace = ref.uri.split("/")[3]
            files = {
                entry.path: self._verified(_ref(namespace, entry.digest, entry.size_bytes))
                for entry in parse_manifest(files["."])
            }
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
            whole = Path(scratch) / "object"
            if ref.kind == "folder":
                whole.mkdir()
            for name, data in files.items():
                path = whole / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            if target.is_dir() and not target.is_symlink():
                shutil.rmtree(target)
            whole.replace(target)


def _ref(namespace: str, digest: str, size_bytes: int) -> ObjectRef:
    algorithm, _, hexadecimal = digest.partition(":")
    key = f"{namespace}/{algorithm}/{hexadecimal[:2]}/{hexadecimal}"
    return ObjectRef(uri=f"s3://{BUCKET}/{key}", digest=digest, size_bytes=size_bytes)
