"""A lease: one holder at a time, with a fencing token that grows with every change of holder.

The key lives in a bucket whose entries expire `ttl_seconds` after their last write, so a dead
holder loses it by silence. A holder that was paused may still believe in its lease after it
expired: safety must rest on the token (or on a guarded append), never on the lease alone.

All leases of one bus share the bucket and so its time: the first to make it sets `ttl_seconds`.
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
TRIES = 4
"""How often in the time of one renewal a renewal that got no answer is tried again."""

MARGIN = 0.05
"""The part of its time that a holder forgoes: two clocks do not run alike."""


@dataclass
class Lease:
    """A held lease. `token` grows from holder to holder; `lost` is set once it is not ours, or
    once that cannot be known."""

    name: str
    holder: str
    token: int
    acquired_seconds: float
    """The loop's time at which it was asked for: it lasts from there for the bucket's time."""
    lost: asyncio.Event = field(default_factory=asyncio.Event)


async def try_acquire(bucket: KeyValue, name: str, holder: str) -> Lease | None:
    """Take the lease if nobody holds it. Raises `Unavailable`: it may then be taken or not."""
    asked = asyncio.get_running_loop().time()
    try:
        return Lease(name, holder, await bucket.create(name, holder.encode()), asked)
    except Conflict:
        return None


@asynccontextmanager
async def held_lease(
    buckets: KeyValues, name: str, holder: str, ttl_seconds: float = LEASE_SECONDS
) -> AsyncIterator[Lease]:
    """Wait for the lease, through outages too; hold it while the block runs, then give it back.

    `holder` must be this process's alone, so that a write whose answer was lost is known again.
    Watch `lease.lost` in the block: it is set when a renewal found another holder, and no later
    than `ttl_seconds` after the last renewal that is known to have been made.
    """
    bucket = await buckets.bucket(LEASES_BUCKET, ttl_seconds=ttl_seconds)
    lease = await _acquire(bucket, name, holder, ttl_seconds)
    renewal = asyncio.create_task(_renew(bucket, lease, ttl_seconds))
    try:
        yield lease
    finally:
        held = not lease.lost.is_set()
        renewal.cancel()
        with suppress(asyncio.CancelledError):
            await renewal
        if held:
            with suppress(Conflict, Unavailable):  # it then ends by silence
                entry = await bucket.get(name)
                if entry is not None and entry.value == holder.encode():
                    await bucket.delete(name, entry.revision)


async def _acquire(bucket: KeyValue, name: str, holder: str, ttl_seconds: float) -> Lease:
    loop = asyncio.get_running_loop()
    while True:
        with suppress(Unavailable):
            lease = await try_acquire(bucket, name, holder)
            # An answer that came too late is about a lease that may be another's by now.
            if lease is not None and loop.time() < lease.acquired_seconds + ttl_seconds:
                return lease
        await asyncio.sleep(ttl_seconds / RENEWALS)


async def _renew(bucket: KeyValue, lease: Lease, ttl_seconds: float) -> None:
    """Renew until the lease is lost. The server counts from a write, which comes after we asked
    for it: counting from the asking we never believe in the lease for longer than it does."""
    loop = asyncio.get_running_loop()
    lasts_seconds = ttl_seconds * (1 - MARGIN)
    revision, good_until = lease.token, lease.acquired_seconds + lasts_seconds
    pause = ttl_seconds / RENEWALS
    try:
        while True:
            async with asyncio.timeout_at(good_until):
                await asyncio.sleep(pause)
                asked = loop.time()
                try:
                    revision = await _write(bucket, lease, revision)
                except Unavailable:
                    pause = ttl_seconds / RENEWALS / TRIES
                    continue
            good_until, pause = asked + lasts_seconds, ttl_seconds / RENEWALS
    except (TimeoutError, Conflict):
        pass  # nobody answered in time, or it is another's
    finally:
        lease.lost.set()


async def _write(bucket: KeyValue, lease: Lease, revision: int) -> int:
    """Write over our own entry; raises `Conflict` where it is another's or gone."""
    value = lease.holder.encode()
    try:
        return await bucket.update(lease.name, value, revision)
    except Conflict:
        entry = await bucket.get(lease.name)  # an earlier answer may have been lost
        if entry is None or entry.value != value:
            raise
        return await bucket.update(lease.name, value, entry.revision)
