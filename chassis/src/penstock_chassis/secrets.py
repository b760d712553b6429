"""`Secrets` in a key-value bucket: sealed values, and beside each the change not told yet.

One entry a secret, replaced by compare-and-set, so that a change and the note of it are one write.
A deleted secret keeps its entry, without values, until its deletion was told. In clear stand its
namespace and name, fingerprints, who changed it and the id of the change; values never.
"""

import base64
import json
from dataclasses import asdict, dataclass

from penstock_chassis.errors import Conflict, NotFound, Unavailable
from penstock_chassis.ports import SECRET_VALUES_MAX, KeyValue, KeyValues, SecretChange
from penstock_chassis.sealing import Sealer

BUCKET = "SECRETS"
NO_KEY = (
    "no sealing key is configured: name its file in PENSTOCK_SECRETS_KEY_FILE "
    "(`openssl rand -base64 32 > secrets.key; chmod 600 secrets.key`), or set PENSTOCK_SECRETS_KEY"
)


@dataclass(frozen=True, slots=True)
class _Stored:
    """What stands in the bucket at one revision."""

    change: SecretChange
    told: bool
    sealed: bytes
    revision: int

    def dump(self) -> bytes:
        sealed = base64.b64encode(self.sealed).decode()
        return json.dumps(
            {"change": asdict(self.change), "told": self.told, "sealed": sealed}
        ).encode()


class SealedSecrets:
    """`Secrets` on any bucket; without a sealer every call says that a key is missing."""

    def __init__(self, buckets: KeyValues, sealer: Sealer | None) -> None:
        self._buckets = buckets
        self._sealer = sealer
        self._bucket: KeyValue | None = None

    async def get(self, namespace: str, name: str) -> tuple[str, ...]:
        """See `Secrets.get`."""
        stored = await self._read(namespace, name)
        return self._values(stored) if stored else ()

    async def set(
        self, namespace: str, name: str, value: str, *, id: str, by: str, keep: bool = False
    ) -> SecretChange:
        """See `Secrets.set`."""
        sealer = self._open()
        stored = await self._read(namespace, name)
        if stored and stored.change.id == id:
            return stored.change
        former = [one for one in self._values(stored) if one != value] if stored and keep else []
        values = [value, *former][:SECRET_VALUES_MAX]
        place = _place(namespace, name)
        change = SecretChange(
            namespace, name, id, sealer.fingerprint(place, value), len(values), by
        )
        await self._replace(stored, change, sealer.seal(place, json.dumps(values).encode()))
        return change

    async def delete(self, namespace: str, name: str, *, id: str, by: str) -> SecretChange:
        """See `Secrets.delete`."""
        self._open()
        stored = await self._read(namespace, name)
        if stored and stored.change.id == id:
            return stored.change
        if stored is None or not stored.change.values:
            raise NotFound(f"there is no secret {name!r} in {namespace}")
        change = SecretChange(namespace, name, id, stored.change.fingerprint, 0, by)
        await self._replace(stored, change, b"")
        return change

    async def untold(self, namespace: str = "", name: str = "") -> list[SecretChange]:
        """See `Secrets.untold`."""
        bucket = await self._open_bucket()
        keys = [f"{namespace}.{name}"] if name else await bucket.keys()
        found = []
        for key in keys:
            stored = await self._read(*key.split(".", 1))
            if stored and not stored.told:
                found.append(stored.change)
        return found

    async def told(self, change: SecretChange) -> None:
        """See `Secrets.told`."""
        stored = await self._read(change.namespace, change.name)
        if stored is None or stored.told or stored.change.id != change.id:
            return
        bucket = await self._open_bucket()
        key = f"{change.namespace}.{change.name}"
        try:
            if change.values:
                done = _Stored(change, True, stored.sealed, stored.revision)
                await bucket.update(key, done.dump(), stored.revision)
            else:
                await bucket.delete(key, stored.revision)
        except Conflict:
            return  # another replica said it first

    async def _read(self, namespace: str, name: str) -> _Stored | None:
        entry = await (await self._open_bucket()).get(f"{namespace}.{name}")
        if entry is None:
            return None
        raw = json.loads(entry.value)
        return _Stored(
            # The place is where it stands, whatever the entry says: one copied elsewhere is sealed.
            SecretChange(**(raw["change"] | {"namespace": namespace, "name": name})),
            raw["told"],
            base64.b64decode(raw["sealed"]),
            entry.revision,
        )

    async def _replace(self, stored: _Stored | None, change: SecretChange, sealed: bytes) -> None:
        if stored and not stored.told:
            raise Conflict(f"the last change of {change.name!r} was not told yet", stored.revision)
        bucket = await self._open_bucket()
        key = f"{change.namespace}.{change.name}"
        data = _Stored(change, False, sealed, 0).dump()
        if stored is None:
            await bucket.create(key, data)
        else:
            await bucket.update(key, data, stored.revision)

    def _values(self, stored: _Stored) -> tuple[str, ...]:
        if not stored.change.values:
            return ()
        place = _place(stored.change.namespace, stored.change.name)
        return tuple(json.loads(self._open().open(place, stored.sealed)))

    def _open(self) -> Sealer:
        if self._sealer is None:
            raise Unavailable(NO_KEY)
        return self._sealer

    async def _open_bucket(self) -> KeyValue:
        if self._bucket is None:
            self._bucket = await self._buckets.bucket(BUCKET)
        return self._bucket


def _place(namespace: str, name: str) -> str:
    return f"{namespace}/{name}"
