"""Where the outbox of one subscription is kept between processes: one key, compare and set.

Whoever writes names the revision that it read, so that of two gateways only one keeps a
subscription; the other one finds `Conflict` and starts from what is kept.
"""

import json

from penstock_chassis.errors import Conflict
from penstock_chassis.ports import KeyValue
from penstock_gateway.domain.outbox import Outbox, from_document, to_document

BUCKET = "SUBSCRIPTIONS"


class Shelf:
    """One outbox in a bucket."""

    def __init__(self, bucket: KeyValue, namespace: str, name: str) -> None:
        self._bucket = bucket
        self._key = f"{namespace}.{name}"
        self._revision = 0

    async def load(self) -> Outbox | None:
        """What is kept; None where nothing is."""
        entry = await self._bucket.get(self._key)
        if entry is None:
            self._revision = 0
            return None
        self._revision = entry.revision
        return from_document(json.loads(entry.value))

    async def save(self, outbox: Outbox) -> None:
        """Keep it over what was read or kept last. Raises `Conflict` where somebody else did, and
        `Unavailable`: the same again is safe."""
        value = json.dumps(to_document(outbox), separators=(",", ":")).encode()
        try:
            if self._revision:
                self._revision = await self._bucket.update(self._key, value, self._revision)
            else:
                self._revision = await self._bucket.create(self._key, value)
        except Conflict:
            entry = await self._bucket.get(self._key)  # an earlier answer may have been lost
            if entry is None or entry.value != value:
                raise
            self._revision = entry.revision

    async def clear(self) -> None:
        """Forget it."""
        if self._revision:
            await self._bucket.delete(self._key, self._revision)
            self._revision = 0
