"""The contract of key-value buckets: compare-and-set, expiry."""
# ruff: noqa: D102 - the name of a test is its sentence

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from penstock_chassis.errors import Conflict
from penstock_chassis.ports import Entry, KeyValue, Ports
from penstock_chassis.testing.contracts.deliveries import eventually
from penstock_chassis.testing.contracts.suite import Suite

TTL_SECONDS = 1.0
WRITERS = 8


class KeyValuesContract(Suite):
    """Buckets."""

    async def test_a_key_that_was_never_written_is_not_there(self, ports: Ports, ns: str) -> None:
        bucket = await ports.kv.bucket(ns)
        assert await bucket.get("a") is None
        assert await bucket.keys() == []

    async def test_what_is_put_is_there_with_a_growing_revision(
        self, ports: Ports, ns: str
    ) -> None:
        bucket = await ports.kv.bucket(ns)
        first = await bucket.put("a.b", b"1")
        other = await bucket.put("c", b"")
        second = await bucket.put("a.b", b"2")
        assert first < other < second
        assert await bucket.get("a.b") == Entry("a.b", b"2", second)
        assert await bucket.get("c") == Entry("c", b"", other)
        assert await bucket.keys() == ["a.b", "c"]

    async def test_a_bucket_opened_again_is_the_same(self, ports: Ports, ns: str) -> None:
        await (await ports.kv.bucket(ns)).put("a", b"1")
        entry = await (await ports.kv.bucket(ns)).get("a")
        assert entry is not None
        assert entry.value == b"1"

    async def test_create_writes_only_where_nothing_is(self, ports: Ports, ns: str) -> None:
        bucket = await ports.kv.bucket(ns)
        revision = await bucket.create("a", b"1")
        with pytest.raises(Conflict):
            await bucket.create("a", b"2")
        assert await bucket.get("a") == Entry("a", b"1", revision)

    async def test_of_concurrent_creates_one_wins(self, ports: Ports, ns: str) -> None:
        bucket = await ports.kv.bucket(ns)
        answers = await asyncio.gather(
            *(bucket.create("a", str(number).encode()) for number in range(WRITERS)),
            return_exceptions=True,
        )
        assert sum(isinstance(answer, int) for answer in answers) == 1
        assert sum(isinstance(answer, Conflict) for answer in answers) == WRITERS - 1

    async def test_update_writes_only_over_its_revision(self, ports: Ports, ns: str) -> None:
        bucket = await ports.kv.bucket(ns)
        first = await bucket.create("a", b"1")
        second = await bucket.update("a", b"2", first)
        assert second > first
        with pytest.raises(Conflict):
            await bucket.update("a", b"3", first)
        with pytest.raises(Conflict):
            await bucket.update("never", b"3", second)
        assert await bucket.get("a") == Entry("a", b"2", second)

    async def test_delete_removes_only_its_revision(self, ports: Ports, ns: str) -> None:
        bucket = await ports.kv.bucket(ns)
        first = await bucket.create("a", b"1")
        second = await bucket.update("a", b"2", first)
        with pytest.raises(Conflict):
            await bucket.delete("a", first)
        await bucket.delete("a", second)
        assert await bucket.get("a") is None
        assert await bucket.keys() == []

    async def test_a_deleted_key_can_be_created_but_not_updated(
        self, ports: Ports, ns: str
    ) -> None:
        bucket = await ports.kv.bucket(ns)
        revision = await bucket.create("a", b"1")
        await bucket.delete("a", revision)
        with pytest.raises(Conflict):
            await bucket.update("a", b"2", revision)
        assert await bucket.create("a", b"3") > revision

    async def test_a_key_expires_and_can_then_be_created_by_another(
        self, ports: Ports, ns: str
    ) -> None:
        bucket = await ports.kv.bucket(ns, ttl_seconds=TTL_SECONDS)
        revision = await bucket.create("a", b"1")
        with pytest.raises(Conflict):
            await bucket.create("a", b"2")
        await eventually(_expired(bucket, "a"))
        assert await bucket.keys() == []
        with pytest.raises(Conflict):
            await bucket.update("a", b"2", revision)
        assert await bucket.create("a", b"3") > revision

    async def test_writing_a_key_starts_its_time_anew(self, ports: Ports, ns: str) -> None:
        bucket = await ports.kv.bucket(ns, ttl_seconds=TTL_SECONDS)
        revision = await bucket.create("a", b"1")
        await bucket.create("witness", b"")
        expired = _expired(bucket, "witness")

        async def written_until_the_witness_expires() -> bool:
            nonlocal revision
            revision = await bucket.update("a", b"1", revision)
            return await expired()

        await eventually(written_until_the_witness_expires)
        assert await bucket.get("a") == Entry("a", b"1", revision)

    async def test_keys_of_a_bucket_without_a_time_stay(self, ports: Ports, ns: str) -> None:
        bucket = await ports.kv.bucket(ns)
        await bucket.put("a", b"1")
        witness = await ports.kv.bucket(f"{ns}b", ttl_seconds=TTL_SECONDS)
        await witness.put("a", b"1")
        await eventually(_expired(witness, "a"))
        assert await bucket.keys() == ["a"]


def _expired(bucket: KeyValue, key: str) -> Callable[[], Awaitable[bool]]:
    async def expired() -> bool:
        return await bucket.get(key) is None

    return expired
