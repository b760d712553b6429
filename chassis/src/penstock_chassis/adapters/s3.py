"""The object store on any S3 server, through the minio client.

Content-addressed: a key is the digest of its bytes, so a PUT is idempotent and equal bytes are
stored once. Before anything is announced it is durable: an embedded server is synced to disk
(one `syncfs` of its data folder; measured: without it a power cut loses every acknowledged
object). Every read is verified against the digest. The client blocks, so calls run in threads.
"""

import asyncio
import io
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.error import S3Error

from penstock_chassis.digests import Hasher, digest_of, new_hasher
from penstock_chassis.errors import DigestMismatch, NotFound, TooLarge, Unavailable
from penstock_chassis.folders import (
    FolderEntry,
    folder_files,
    parse_manifest,
    render_manifest,
)
from penstock_chassis.settings import PlatformSettings
from penstock_schemas import ObjectRef, check_own, key_of

CHUNK_BYTES = 1024 * 1024
PART_BYTES = 16 * 1024 * 1024
CONNECT_SECONDS = 30.0
"""urllib3's connect timeout also bounds sending a part, so it must not be small."""
READ_SECONDS = 30.0
PARALLEL_MAX = 8
MISSING = frozenset({"NoSuchKey", "NoSuchBucket", "NoSuchObject"})

T = TypeVar("T")


def make_client(settings: PlatformSettings, waits: urllib3.PoolManager | None = None) -> Minio:
    """A client with bounded waits and a few retries, or with the waits given."""
    return Minio(
        settings.objects_endpoint,
        access_key=settings.objects_access_key or None,
        secret_key=settings.objects_secret_key.get_secret_value() or None,
        secure=settings.objects_secure,
        region="us-east-1",
        http_client=waits
        or urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
            maxsize=PARALLEL_MAX,
            retries=urllib3.Retry(total=5, backoff_factor=0.2, status_forcelist=(500, 502, 503)),
        ),
    )


class S3ObjectStore:
    """`ObjectStore` in one bucket."""

    def __init__(self, client: Minio, bucket: str, sync: Callable[[], None] | None = None) -> None:
        self._client = client
        self._bucket = bucket
        self._sync = sync
        self._slots = asyncio.Semaphore(PARALLEL_MAX)

    async def ensure_bucket(self) -> None:
        """Make the bucket where it is not there."""
        await self._run(self._ensure_bucket)

    def _ensure_bucket(self) -> None:
        if not self._client.bucket_exists(self._bucket):
            try:
                self._client.make_bucket(self._bucket)
            except S3Error as error:
                if error.code not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                    raise

    async def put(self, namespace: str, data: bytes) -> ObjectRef:
        """See `ObjectStore.put`."""
        ref = self._ref(namespace, digest_of(data), len(data))
        await self._run(self._upload, ref, io.BytesIO(data))
        await self._durable()
        return ref

    async def put_file(self, namespace: str, path: Path) -> ObjectRef:
        """See `ObjectStore.put_file`."""
        ref = await self._run(self._upload_file, namespace, path)
        await self._durable()
        return ref

    async def put_folder(self, namespace: str, path: Path) -> ObjectRef:
        """See `ObjectStore.put_folder`."""
        files = await self._run(folder_files, path)
        refs = await asyncio.gather(
            *(self._run(self._upload_file, namespace, path / name) for name in files)
        )
        manifest = render_manifest(
            [FolderEntry(n, r.size_bytes, r.digest) for n, r in zip(files, refs, strict=True)]
        )
        ref = self._ref(namespace, digest_of(manifest), len(manifest))
        await self._run(self._upload, ref, io.BytesIO(manifest))
        await self._durable()
        total = sum(r.size_bytes for r in refs)
        return ref.model_copy(update={"kind": "folder", "size_bytes": total})

    async def get(self, ref: ObjectRef, size_bytes_max: int = 64 * 2**20) -> bytes:
        """See `ObjectStore.get`."""
        if ref.kind == "file" and ref.size_bytes > size_bytes_max:
            raise TooLarge(f"{ref.uri} has {ref.size_bytes} bytes; at most {size_bytes_max} here")
        sink = io.BytesIO()
        await self._run(self._download, ref.uri, sink.write, new_hasher(ref.digest), size_bytes_max)
        return sink.getvalue()

    async def fetch(self, ref: ObjectRef, target: Path) -> None:
        """See `ObjectStore.fetch`."""
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        try:
            whole = scratch / "object"
            if ref.kind == "file":
                await self._run(self._download_file, ref, whole)
            else:
                await self._fetch_folder(ref, whole)
            await asyncio.to_thread(_replace, whole, target)
        finally:
            await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)

    async def _fetch_folder(self, ref: ObjectRef, whole: Path) -> None:
        entries = parse_manifest(await self.get(ref))
        namespace = self._key(ref.uri).split("/", 1)[0]
        await asyncio.to_thread(whole.mkdir)
        await asyncio.gather(
            *(
                self._run(
                    self._download_file,
                    self._ref(namespace, entry.digest, entry.size_bytes),
                    whole / entry.path,
                )
                for entry in entries
            )
        )

    async def read_uri(self, namespace: str, uri: str, target: Path) -> None:
        """See `ObjectStore.read_uri`."""
        check_own(uri, namespace, self._bucket)
        await self._run(self._read_uri, uri, target)

    def _read_uri(self, uri: str, target: Path) -> None:
        with target.open("wb") as file:
            self._download(uri, file.write, None, None)

    async def ping(self) -> None:
        """Raise `Unavailable` where the server does not answer."""
        await self._run(self._client.bucket_exists, self._bucket)

    async def _durable(self) -> None:
        if self._sync is not None:
            await asyncio.to_thread(self._sync)

    async def _run(self, function: Callable[..., T], *arguments: Any) -> T:
        async with self._slots:
            try:
                return await asyncio.to_thread(function, *arguments)
            except S3Error as error:
                if error.code in MISSING:
                    raise NotFound(f"{error.resource or ''}: {error.message}") from error
                raise Unavailable(f"object store: {error.code} {error.message}") from error
            except urllib3.exceptions.HTTPError as error:
                raise Unavailable(f"object store: {error!r}") from error

    def _ref(self, namespace: str, digest: str, size_bytes: int) -> ObjectRef:
        algorithm, _, hexadecimal = digest.partition(":")
        key = f"{namespace}/{algorithm}/{hexadecimal[:2]}/{hexadecimal}"
        return ObjectRef(uri=f"s3://{self._bucket}/{key}", digest=digest, size_bytes=size_bytes)

    def _key(self, uri: str) -> str:
        return key_of(uri)

    def _present(self, ref: ObjectRef) -> bool:
        try:
            found = self._client.stat_object(self._bucket, self._key(ref.uri))
        except S3Error as error:
            if error.code in MISSING:
                return False
            raise
        return bool(found.size == ref.size_bytes)

    def _upload(self, ref: ObjectRef, stream: Any) -> None:
        if not self._present(ref):
            self._client.put_object(
                self._bucket, self._key(ref.uri), stream, ref.size_bytes, part_size=PART_BYTES
            )

    def _upload_file(self, namespace: str, path: Path) -> ObjectRef:
        hasher = new_hasher()
        size = 0
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                hasher.update(chunk)
                size += len(chunk)
            file.seek(0)
            ref = self._ref(namespace, hasher.digest(), size)
            self._upload(ref, file)
        return ref

    def _download_file(self, ref: ObjectRef, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            self._download(ref.uri, file.write, new_hasher(ref.digest), None)

    def _download(
        self,
        uri: str,
        write: Callable[[bytes], Any],
        hasher: Hasher | None,
        size_bytes_max: int | None,
    ) -> None:
        """Stream an object; raises `DigestMismatch` at its end, before anybody uses it."""
        response = self._client.get_object(urlsplit(uri).netloc, self._key(uri))
        received = 0
        try:
            for chunk in response.stream(CHUNK_BYTES):
                received += len(chunk)
                if size_bytes_max is not None and received > size_bytes_max:
                    raise TooLarge(f"{uri} has more than {size_bytes_max} bytes")
                if hasher is not None:
                    hasher.update(chunk)
                write(chunk)
        finally:
            response.close()
            response.release_conn()
        if hasher is not None and not hasher.matches():
            raise DigestMismatch(f"{uri}: expected {hasher.expected}, got {hasher.digest()}")


def _replace(source: Path, target: Path) -> None:
    """Put `source` in the place of `target`, whatever stands there."""
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    source.replace(target)
