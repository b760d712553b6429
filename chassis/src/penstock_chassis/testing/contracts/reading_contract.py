"""The contract of reading the event log: `read`, `get`, `head`, `follow`."""
# ruff: noqa: D102 - the name of a test is its sentence

import asyncio
from collections.abc import AsyncIterator

import pytest

from penstock_chassis.errors import NotFound
from penstock_chassis.ports import Ports, StoredMessage
from penstock_chassis.testing.contracts.deliveries import SOON_SECONDS, eventually
from penstock_chassis.testing.contracts.suite import Suite, aggregates, event, events, everything


class ReadingContract(Suite):
    """Reading and following the event log."""

    async def test_read_gives_what_matches_in_order(self, ports: Ports, ns: str) -> None:
        await ports.log.append(events(ns, 3))
        await ports.log.append(events(ns, 3, "started"))
        stored = await ports.log.read(f"penstock.{ns}.thing.started.>")
        assert aggregates([item.subject for item in stored]) == ["a0", "a1", "a2"]
        one = await ports.log.read(f"penstock.{ns}.thing.*.a1")
        assert [item.subject.split(".")[3] for item in one] == ["requested", "started"]

    async def test_a_star_is_one_token_and_an_arrow_one_or_more(
        self, ports: Ports, ns: str
    ) -> None:
        await ports.log.append([event(ns, "a")])
        for filter, found in [
            (f"penstock.{ns}.*.*.*", 1),
            (f"penstock.{ns}.*.*", 0),
            (f"penstock.{ns}.thing.>", 1),
            (f"penstock.{ns}.thing.requested.a.>", 0),
            (f"penstock.{ns}.thing.requested.a", 1),
            (f"penstock.{ns}.thing.requested.b", 0),
        ]:
            assert len(await ports.log.read(filter)) == found, filter

    async def test_read_begins_after_a_sequence_and_ends_at_a_limit(
        self, ports: Ports, ns: str
    ) -> None:
        last = (await ports.log.append(events(ns, 6))).sequence
        some = await ports.log.read(everything(ns), after=last - 4, limit=2)
        assert [item.sequence for item in some] == [last - 3, last - 2]
        assert await ports.log.read(everything(ns), after=last) == []

    async def test_get_finds_no_message_beyond_the_end(self, ports: Ports, ns: str) -> None:
        last = (await ports.log.append([event(ns, "a")])).sequence
        assert (await ports.log.get(last)).sequence == last
        with pytest.raises(NotFound):
            await ports.log.get(last + 1_000_000)

    async def test_head_is_the_last_sequence_of_any_filter(self, ports: Ports, ns: str) -> None:
        assert await ports.log.head([everything(ns)]) == 0
        first = (await ports.log.append([event(ns, "a")])).sequence
        second = (await ports.log.append([event(ns, "b")])).sequence
        third = (await ports.log.append([event(ns, "c")])).sequence
        a, b, none = (f"penstock.{ns}.thing.*.{name}" for name in ("a", "b", "none"))
        assert await ports.log.head([a]) == first
        assert await ports.log.head([b, none, a]) == second
        assert await ports.log.head([everything(ns), a]) == third

    async def test_follow_gives_what_is_there_and_then_what_comes(
        self, ports: Ports, ns: str
    ) -> None:
        await ports.log.append(events(ns, 3))
        following = ports.log.follow([everything(ns)])
        assert aggregates(await _subjects(following, 3)) == ["a0", "a1", "a2"]
        await ports.log.append(events(ns, 2, "started"))
        assert aggregates(await _subjects(following, 2)) == ["a0", "a1"]

    async def test_follow_misses_and_repeats_nothing_while_others_append(
        self, ports: Ports, ns: str
    ) -> None:
        count = 60

        async def write() -> None:
            for number in range(count):
                await ports.log.append([event(ns, f"a{number}")])

        await ports.log.append([event(ns, "first")])
        writing = asyncio.create_task(write())
        subjects = await _subjects(ports.log.follow([everything(ns)]), count + 1)
        await writing
        assert aggregates(subjects) == ["first", *(f"a{number}" for number in range(count))]

    async def test_follow_begins_after_a_sequence(self, ports: Ports, ns: str) -> None:
        last = (await ports.log.append(events(ns, 4))).sequence
        following = ports.log.follow([everything(ns)], after=last - 1)
        assert aggregates(await _subjects(following, 1)) == ["a3"]

    async def test_follow_begins_with_what_was_stored_at_a_time(
        self, ports: Ports, ns: str
    ) -> None:
        early = await ports.log.append([event(ns, "early")])
        stored = (await ports.log.get(early.sequence)).time

        async def later() -> bool:
            return ports.clock.now() > stored

        await eventually(later)
        second = await ports.log.append([event(ns, "second")])
        await ports.log.append([event(ns, "third")])
        since = (await ports.log.get(second.sequence)).time
        following = ports.log.follow([everything(ns)], since=since)
        assert aggregates(await _subjects(following, 2)) == ["second", "third"]

    async def test_follow_gives_what_matches_any_filter_once(self, ports: Ports, ns: str) -> None:
        for name in ("a", "b", "c", "a2"):
            await ports.log.append([event(ns, name)])
        filters = [f"penstock.{ns}.thing.*.{name}" for name in ("c", "a", "a2")]
        following = ports.log.follow(filters)
        assert aggregates(await _subjects(following, 3)) == ["a", "c", "a2"]

    async def test_a_message_is_the_same_whichever_way_it_is_read(
        self, ports: Ports, ns: str
    ) -> None:
        last = (await ports.log.append([event(ns, "a")])).sequence
        got = await ports.log.get(last)
        async with asyncio.timeout(SOON_SECONDS):
            followed = await anext(ports.log.follow([everything(ns)]))
        assert await ports.log.read(everything(ns)) == [got]
        assert followed == got

    async def test_two_followers_see_the_same(self, ports: Ports, ns: str) -> None:
        followers = [ports.log.follow([everything(ns)]) for _ in range(2)]
        reading = [asyncio.create_task(_subjects(follower, 5)) for follower in followers]
        for item in events(ns, 5):
            await ports.log.append([item])
        first, second = await asyncio.gather(*reading)
        assert first == second


async def _subjects(following: AsyncIterator[StoredMessage], count: int) -> list[str]:
    async with asyncio.timeout(SOON_SECONDS):
        return [(await anext(following)).subject for _ in range(count)]
