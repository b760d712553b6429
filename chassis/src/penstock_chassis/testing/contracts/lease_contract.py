"""The contract of leases over the key-value buckets: one holder, takeover, renewal, loss."""
# ruff: noqa: D102 - the name of a test is its sentence

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

import pytest

from penstock_chassis.errors import Unavailable
from penstock_chassis.lease import LEASES_BUCKET, RENEWALS, TRIES, Lease, held_lease, try_acquire
from penstock_chassis.ports import Entry, KeyValue, KeyValues, Ports
from penstock_chassis.testing.contracts.deliveries import now
from penstock_chassis.testing.contracts.suite import Suite

TTL_SECONDS = 1.5
POLL_SECONDS = TTL_SECONDS / RENEWALS
"""How often somebody who waits for the lease asks."""
SLACK_SECONDS = 0.5
"""For a real server: it expires keys on its own timer, and answers take time."""
LIFETIME = RENEWALS + 1
"""So many renewals, or tries to take the lease, fill more than its time."""
SEEN_SECONDS_MAX = 10 * TTL_SECONDS

Fate = Literal["done", "refused"]


@dataclass
class Network:
    """What lies between a process and the server, as a test wants it."""

    refuses: set[str] = field(default_factory=set)
    """The calls that give `Unavailable` and have no effect."""
    loses_answers: bool = False
    """Writes have their effect and give `Unavailable`."""
    silent: bool = False
    """No call is answered; each waits for ever and has no effect."""
    _seen: Counter[tuple[str, Fate]] = field(default_factory=Counter)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def sees(self, times: int, call: str, fate: Fate) -> None:
        """Wait for so many more calls of this fate; raises `TimeoutError`."""
        wanted = self._seen[call, fate] + times
        async with asyncio.timeout(SEEN_SECONDS_MAX), self._changed:
            await self._changed.wait_for(lambda: self._seen[call, fate] >= wanted)

    async def passes(self, call: str) -> None:
        if self.silent:
            await asyncio.Event().wait()
        if call in self.refuses:
            await self._see(call, "refused")
            raise Unavailable(f"{call} refused by the test")

    async def _see(self, call: str, fate: Fate) -> None:
        self._seen[call, fate] += 1
        async with self._changed:
            self._changed.notify_all()

    async def answer(self, call: str, revision: int) -> int:
        """What the caller hears of a write that has had its effect."""
        await self._see(call, "done")
        if self.loses_answers:
            raise Unavailable("answer lost by the test")
        return revision


class FarBucket:
    """A bucket behind a network."""

    def __init__(self, near: KeyValue, network: Network) -> None:
        self._near = near
        self._network = network

    async def get(self, key: str) -> Entry | None:
        await self._network.passes("get")
        return await self._near.get(key)

    async def create(self, key: str, value: bytes) -> int:
        await self._network.passes("create")
        return await self._network.answer("create", await self._near.create(key, value))

    async def update(self, key: str, value: bytes, revision: int) -> int:
        await self._network.passes("update")
        return await self._network.answer("update", await self._near.update(key, value, revision))

    async def put(self, key: str, value: bytes) -> int:
        await self._network.passes("put")
        return await self._network.answer("put", await self._near.put(key, value))

    async def delete(self, key: str, revision: int) -> None:
        await self._network.passes("delete")
        await self._near.delete(key, revision)

    async def keys(self) -> list[str]:
        await self._network.passes("keys")
        return await self._near.keys()


class FarBuckets:
    """Buckets behind a network."""

    def __init__(self, near: KeyValues, network: Network) -> None:
        self._near = near
        self._network = network

    async def bucket(self, name: str, *, ttl_seconds: float = 0.0) -> KeyValue:
        return FarBucket(await self._near.bucket(name, ttl_seconds=ttl_seconds), self._network)


class Holder:
    """A process that holds a lease until it is told to end, and can be cut off."""

    def __init__(self, ports: Ports, lease_name: str, name: str) -> None:
        self.network = Network()
        self.lease: Lease | None = None
        self.held = asyncio.Event()
        self._end = asyncio.Event()
        buckets = FarBuckets(ports.kv, self.network)
        self._task = asyncio.create_task(self._hold(buckets, lease_name, name))

    async def _hold(self, buckets: KeyValues, lease_name: str, name: str) -> None:
        async with held_lease(buckets, lease_name, name, TTL_SECONDS) as lease:
            self.lease = lease
            self.held.set()
            await self._end.wait()

    async def token(self) -> int:
        """Wait for the lease; its token."""
        await self.held.wait()
        assert self.lease is not None
        return self.lease.token

    async def lost(self) -> None:
        """Wait until it knows that the lease is lost."""
        await self.token()
        assert self.lease is not None
        await self.lease.lost.wait()

    @property
    def believes(self) -> bool:
        """Whether it holds the lease, as far as it knows."""
        return self.lease is not None and not self.lease.lost.is_set()

    async def end(self) -> None:
        """Leave the block."""
        self._end.set()
        await self._task

    async def die(self) -> None:
        """End without a further word to the server, as by SIGKILL."""
        self.network.refuses = {"get", "create", "update", "delete"}
        await self.end()


class LeasesContract(Suite):
    """Leases."""

    async def test_one_holds_the_lease_and_the_other_gets_it_when_the_first_gives_it_back(
        self, ports: Ports, ns: str
    ) -> None:
        first = Holder(ports, ns, "first")
        token = await first.token()
        second = Holder(ports, ns, "second")
        await first.network.sees(LIFETIME, "update", "done")
        assert first.believes
        assert not second.held.is_set()
        await first.end()
        given_back = now()
        assert await second.token() > token
        assert now() - given_back <= POLL_SECONDS + SLACK_SECONDS
        await second.end()

    async def test_a_standby_takes_over_when_the_holder_has_been_silent_for_the_ttl(
        self, ports: Ports, ns: str
    ) -> None:
        first = Holder(ports, ns, "first")
        token = await first.token()
        second = Holder(ports, ns, "second")
        await first.network.sees(RENEWALS, "update", "done")
        await first.die()
        died = now()
        assert await second.token() > token
        assert now() - died <= TTL_SECONDS + POLL_SECONDS + SLACK_SECONDS
        await second.end()

    async def test_tokens_grow_from_holder_to_holder(self, ports: Ports, ns: str) -> None:
        tokens = []
        for number in range(4):
            holder = Holder(ports, ns, f"holder{number}")
            tokens.append(await holder.token())
            await (holder.end() if number % 2 else holder.die())
        assert tokens == sorted(set(tokens))

    async def test_a_lease_outlives_an_outage_that_is_shorter_than_its_ttl(
        self, ports: Ports, ns: str
    ) -> None:
        holder = Holder(ports, ns, "holder")
        token = await holder.token()
        for _ in range(3):
            holder.network.refuses = {"get", "update"}
            await holder.network.sees(TRIES - 1, "update", "refused")
            holder.network.refuses = set()
            await holder.network.sees(1, "update", "done")
        assert holder.believes
        bucket = await ports.kv.bucket(LEASES_BUCKET, ttl_seconds=TTL_SECONDS)
        assert await try_acquire(bucket, ns, "other") is None
        assert await holder.token() == token
        await holder.end()
        assert await bucket.get(ns) is None

    async def test_a_renewal_whose_answer_was_lost_is_known_again(
        self, ports: Ports, ns: str
    ) -> None:
        holder = Holder(ports, ns, "holder")
        await holder.token()
        holder.network.loses_answers = True
        await holder.network.sees(2, "update", "done")
        holder.network.loses_answers = False
        await holder.network.sees(LIFETIME, "update", "done")
        assert holder.believes
        await holder.end()

    async def test_a_renewal_that_conflicts_while_nothing_can_be_read_still_ends_in_a_loss(
        self, ports: Ports, ns: str
    ) -> None:
        holder = Holder(ports, ns, "holder")
        await holder.token()
        holder.network.refuses = {"get"}
        bucket = await ports.kv.bucket(LEASES_BUCKET, ttl_seconds=TTL_SECONDS)
        await bucket.put(ns, b"another")
        async with asyncio.timeout(TTL_SECONDS + SLACK_SECONDS):
            await holder.lost()
        await holder.end()
        entry = await bucket.get(ns)
        assert entry is None or entry.value == b"another"

    @pytest.mark.parametrize("how", ["refused", "silent"])
    async def test_a_holder_cut_off_knows_its_loss_within_the_ttl_and_before_anybody_else_holds(
        self, ports: Ports, ns: str, how: str
    ) -> None:
        first = Holder(ports, ns, "first")
        await first.token()
        second = Holder(ports, ns, "second")
        await first.network.sees(RENEWALS, "update", "done")
        cut_off = now()
        if how == "refused":
            first.network.refuses = {"get", "update"}
        else:
            first.network.silent = True
        await first.lost()
        assert now() - cut_off <= TTL_SECONDS + SLACK_SECONDS / 5
        assert not second.held.is_set()
        await second.token()
        first.network.silent = False
        await first.end()
        assert second.believes
        await second.end()

    async def test_a_lease_that_another_holds_is_lost_at_the_next_renewal(
        self, ports: Ports, ns: str
    ) -> None:
        holder = Holder(ports, ns, "holder")
        await holder.token()
        bucket = await ports.kv.bucket(LEASES_BUCKET, ttl_seconds=TTL_SECONDS)
        await bucket.put(ns, b"another")
        async with asyncio.timeout(POLL_SECONDS + SLACK_SECONDS):
            await holder.lost()
        await holder.end()
        entry = await bucket.get(ns)
        assert entry is not None
        assert entry.value == b"another"

    async def test_who_waits_for_the_lease_waits_through_an_outage(
        self, ports: Ports, ns: str
    ) -> None:
        holder = Holder(ports, ns, "holder")
        holder.network.refuses = {"create"}
        await holder.network.sees(LIFETIME, "create", "refused")
        assert not holder.held.is_set()
        holder.network.refuses = set()
        async with asyncio.timeout(POLL_SECONDS + SLACK_SECONDS):
            await holder.token()
        await holder.end()
