"""A lease: one holder at a time, with a fencing token that grows with every change of holder.

The key lives in a bucket whose entries expire `ttl_seconds` after their last write, so a dead
holder loses it by silence. A holder that was paused may still believe in its lease after it
expired: safety must rest on the token (or on a guarded append), never on the lease alone.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from penstock_chassis.errors import Conflict, Unavailable
from penstock_chassis.ports import KeyValue, KeyValues

LEASE_SECONDS = 10.0
LEASES_BUCKET = "LEASES"
RENEWALS = 3
"""How often a lease is renewed before it would run out."""


@dataclass
class Lease:
    """A held lease. `token` grows from holder to holder; `lost` is set once it is not ours."""

    name: str
    holder: str
    token: int
    lost: asyncio.Event = field(default_factory=asyncio.Event)


async def try_acquire(bucket: KeyValue, name: str, holder: str) -> Lease | None:
    """Take the lease if nobody holds it."""
    try:
        return Lease(name, holder, await bucket.create(name, holder.encode()))
    except Conflict:
        return None


@asynccontextmanager
async def held_lease(
    buckets: KeyValues, name: str, holder: str, ttl_seconds: float = LEASE_SECONDS
) -> AsyncIterator[Lease]:
    """Wait for the lease, hold it while the block runs, give it back at the end.

    Watch `lease.lost` in the block: it is set when a renewal found another holder or could not
    be made for a whole `ttl_seconds`.
    """
    bucket = await buckets.bucket(LEASES_BUCKET, ttl_seconds=ttl_seconds)
    lease = await try_acquire(bucket, name, holder)
    while lease is None:
        await asyncio.sleep(ttl_seconds / RENEWALS)
        lease = await try_acquire(bucket, name, holder)
    renewal = asyncio.create_task(_renew(bucket, lease, ttl_seconds))
    try:
        yield lease
    finally:
        renewal.cancel()
        with suppress(asyncio.CancelledError):
            await renewal
        if not lease.lost.is_set():
            entry = await bucket.get(name)
            if entry is not None and entry.value == holder.encode():
                with suppress(Conflict, Unavailable):
                    await bucket.delete(name, entry.revision)


async def _renew(bucket: KeyValue, lease: Lease, ttl_seconds: float) -> None:
    loop = asyncio.get_running_loop()
    revision, renewed = lease.token, loop.time()
    while loop.time() - renewed < ttl_seconds:
        await asyncio.sleep(ttl_seconds / RENEWALS)
        try:
            revision = await bucket.update(lease.name, lease.holder.encode(), revision)
        except Unavailable:
            continue
        except Conflict:
            entry = await bucket.get(lease.name)  # an earlier answer may have been lost
            if entry is None or entry.value != lease.holder.encode():
                break
            revision = entry.revision
        renewed = loop.time()
    lease.lost.set()
