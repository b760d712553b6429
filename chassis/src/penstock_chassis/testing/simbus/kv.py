"""Key-value buckets of a simulated world: compare-and-set over one revision count a bucket."""

import asyncio
import re
from dataclasses import dataclass, field

from penstock_chassis.errors import Conflict
from penstock_chassis.ports import Entry, KeyValue
from penstock_chassis.testing.simbus.incarnation import Incarnation

_BUCKET = re.compile(r"[A-Za-z0-9_-]+")
_KEY = re.compile(r"[A-Za-z0-9_=/-]+(\.[A-Za-z0-9_=/-]+)*")


@dataclass(slots=True)
class SimBucket:
    """What is stored in a bucket."""

    ttl_seconds: float
    revision: int = 0
    entries: dict[str, tuple[Entry, float]] = field(default_factory=dict)
    """By key: the entry, and the loop's time when it was written."""

    def live(self, key: str) -> Entry | None:
        """The entry, unless it has expired."""
        entry, written = self.entries.get(key, (None, 0.0))
        age_seconds = asyncio.get_running_loop().time() - written
        if entry is not None and self.ttl_seconds and age_seconds >= self.ttl_seconds:
            del self.entries[key]
            return None
        return entry

    def write(self, key: str, value: bytes) -> int:
        """Store; the new revision."""
        self.revision += 1
        entry = Entry(key, value, self.revision)
        self.entries[key] = (entry, asyncio.get_running_loop().time())
        return self.revision


class SimKeyValue:
    """`KeyValue` on a simulated bucket."""

    def __init__(self, name: str, bucket: SimBucket, incarnation: Incarnation) -> None:
        self._name = name
        self._bucket = bucket
        self._incarnation = incarnation

    async def get(self, key: str) -> Entry | None:
        """See `KeyValue.get`."""
        _must_be_key(key)
        return await self._incarnation.call("kv.get", lambda: self._bucket.live(key))

    async def create(self, key: str, value: bytes) -> int:
        """See `KeyValue.create`."""
        _must_be_key(key)
        return await self._incarnation.call("kv.create", lambda: self._write(key, value, None))

    async def update(self, key: str, value: bytes, revision: int) -> int:
        """See `KeyValue.update`."""
        _must_be_key(key)
        return await self._incarnation.call("kv.update", lambda: self._write(key, value, revision))

    async def put(self, key: str, value: bytes) -> int:
        """See `KeyValue.put`."""
        _must_be_key(key)
        return await self._incarnation.call("kv.put", lambda: self._bucket.write(key, value))

    async def delete(self, key: str, revision: int) -> None:
        """See `KeyValue.delete`."""
        _must_be_key(key)
        await self._incarnation.call("kv.delete", lambda: self._delete(key, revision))

    async def keys(self) -> list[str]:
        """See `KeyValue.keys`."""
        return await self._incarnation.call(
            "kv.keys", lambda: sorted(key for key in [*self._bucket.entries] if self._live(key))
        )

    def _live(self, key: str) -> bool:
        return self._bucket.live(key) is not None

    def _write(self, key: str, value: bytes, revision: int | None) -> int:
        self._must_stand_at(key, revision)
        return self._bucket.write(key, value)

    def _delete(self, key: str, revision: int) -> None:
        self._must_stand_at(key, revision)
        del self._bucket.entries[key]
        self._bucket.revision += 1

    def _must_stand_at(self, key: str, revision: int | None) -> None:
        entry = self._bucket.live(key)
        found = entry.revision if entry else None
        if found != revision:
            raise Conflict(
                f"key {key!r} of {self._name} has revision {found}, not {revision}", found
            )


class SimKeyValues:
    """`KeyValues` of a simulated world."""

    def __init__(self, buckets: dict[str, SimBucket], incarnation: Incarnation) -> None:
        self._buckets = buckets
        self._incarnation = incarnation

    async def bucket(self, name: str, *, ttl_seconds: float = 0.0) -> KeyValue:
        """See `KeyValues.bucket`."""
        if not _BUCKET.fullmatch(name):
            raise ValueError(f"bucket {name!r}: use letters, digits, hyphens and underscores")
        bucket = await self._incarnation.call(
            "kv.bucket", lambda: self._buckets.setdefault(name, SimBucket(ttl_seconds))
        )
        return SimKeyValue(name, bucket, self._incarnation)


def _must_be_key(key: str) -> None:
    if not _KEY.fullmatch(key):
        raise ValueError(f"key {key!r}: use names of letters, digits, - _ = / joined by dots")
