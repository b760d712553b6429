"""The contract of `EventLog.append`: guards, ids, batches, limits."""
# ruff: noqa: D102 - the name of a test is its sentence

import asyncio

import pytest

from penstock_chassis.errors import Conflict, TooLarge
from penstock_chassis.ports import BATCH_MESSAGES_MAX, Appended, Ports
from penstock_chassis.testing.contracts.suite import (
    Suite,
    aggregates,
    event,
    events,
    everything,
    guard,
)

PAYLOAD_BYTES_MAX = 2**20
"""The limit of the bus, headers included."""
WRITERS = 8


class AppendContract(Suite):
    """Appending to the event log."""

    async def test_an_append_stands_in_the_log_as_it_was_given(self, ports: Ports, ns: str) -> None:
        given = event(ns, "a", payload=bytes(range(256)), headers={"ce-id": "x%20y", "Own": "v"})
        appended = await ports.log.append([given])
        assert not appended.duplicate
        stored = await ports.log.get(appended.sequence)
        assert stored.subject == given.subject
        assert stored.payload == given.payload
        assert given.headers.items() <= dict(stored.headers).items()
        assert stored.sequence == appended.sequence
        assert abs((stored.time - ports.clock.now()).total_seconds()) < 60

    async def test_later_appends_have_higher_sequences(self, ports: Ports, ns: str) -> None:
        sequences = [(await ports.log.append([item])).sequence for item in events(ns, 5)]
        assert sequences == sorted(set(sequences))

    async def test_a_batch_is_contiguous_and_in_order(self, ports: Ports, ns: str) -> None:
        appended = await ports.log.append(events(ns, 4))
        stored = await ports.log.read(everything(ns))
        assert aggregates([item.subject for item in stored]) == ["a0", "a1", "a2", "a3"]
        last = appended.sequence
        assert [item.sequence for item in stored] == [last - 3, last - 2, last - 1, last]

    async def test_concurrent_batches_do_not_interleave(self, ports: Ports, ns: str) -> None:
        batches = [events(ns, 3, f"verb{number}") for number in range(4)]
        await asyncio.gather(*(ports.log.append(batch) for batch in batches))
        stored = await ports.log.read(everything(ns))
        verbs = [item.subject.split(".")[3] for item in stored]
        assert len(verbs) == 12
        assert all(len(set(verbs[start : start + 3])) == 1 for start in range(0, 12, 3))

    async def test_a_guard_of_zero_lets_the_first_message_in(self, ports: Ports, ns: str) -> None:
        appended = await ports.log.append([event(ns, "a", guard=guard(ns, "a", 0))])
        assert not appended.duplicate

    async def test_a_guard_holds_where_its_filter_stands_at_its_sequence(
        self, ports: Ports, ns: str
    ) -> None:
        first = await ports.log.append([event(ns, "a", guard=guard(ns, "a", 0))])
        await ports.log.append([event(ns, "other")])
        second = event(ns, "a", "started", guard=guard(ns, "a", first.sequence))
        assert (await ports.log.append([second])).sequence > first.sequence

    async def test_a_stale_guard_is_a_conflict_that_names_the_last_sequence(
        self, ports: Ports, ns: str
    ) -> None:
        first = await ports.log.append([event(ns, "a")])
        with pytest.raises(Conflict) as conflict:
            await ports.log.append([event(ns, "a", "started", guard=guard(ns, "a", 0))])
        assert conflict.value.sequence == first.sequence
        assert len(await ports.log.read(everything(ns))) == 1

    async def test_a_guard_ahead_of_the_log_is_a_conflict(self, ports: Ports, ns: str) -> None:
        first = await ports.log.append([event(ns, "a")])
        ahead = guard(ns, "a", first.sequence + 100)
        with pytest.raises(Conflict):
            await ports.log.append([event(ns, "a", "started", guard=ahead)])

    async def test_of_concurrent_appends_under_one_guard_one_wins(
        self, ports: Ports, ns: str
    ) -> None:
        answers = await asyncio.gather(
            *(
                ports.log.append([event(ns, "a", f"verb{number}", guard=guard(ns, "a", 0))])
                for number in range(WRITERS)
            ),
            return_exceptions=True,
        )
        assert sum(isinstance(answer, Appended) for answer in answers) == 1
        assert sum(isinstance(answer, Conflict) for answer in answers) == WRITERS - 1
        assert len(await ports.log.read(everything(ns))) == 1

    async def test_a_guarded_append_sent_again_is_a_duplicate(self, ports: Ports, ns: str) -> None:
        message = event(ns, "a", guard=guard(ns, "a", 0))
        first = await ports.log.append([message])
        again = await ports.log.append([message])
        assert again == Appended(first.sequence, duplicate=True)
        assert len(await ports.log.read(everything(ns))) == 1

    async def test_a_guarded_append_sent_again_after_others_moved_on_appends_nothing(
        self, ports: Ports, ns: str
    ) -> None:
        message = event(ns, "a", guard=guard(ns, "a", 0))
        first = await ports.log.append([message])
        await ports.log.append([event(ns, "a", "started")])
        (answer,) = await asyncio.gather(ports.log.append([message]), return_exceptions=True)
        expected = Appended(first.sequence, duplicate=True)
        assert answer == expected or isinstance(answer, Conflict)
        assert len(await ports.log.read(everything(ns))) == 2

    async def test_an_id_seen_before_is_a_duplicate_even_where_its_new_guard_holds(
        self, ports: Ports, ns: str
    ) -> None:
        first = await ports.log.append([event(ns, "a")])
        again = event(ns, "a", guard=guard(ns, "a", first.sequence))
        assert await ports.log.append([again]) == Appended(first.sequence, duplicate=True)

    async def test_an_unguarded_id_seen_before_is_a_duplicate(self, ports: Ports, ns: str) -> None:
        first = await ports.log.append([event(ns, "a")])
        await ports.log.append([event(ns, "b")])
        again = await ports.log.append([event(ns, "a", payload=b"{}")])
        assert again == Appended(first.sequence, duplicate=True)
        assert len(await ports.log.read(everything(ns))) == 2

    async def test_a_batch_whose_second_guard_fails_appends_nothing(
        self, ports: Ports, ns: str
    ) -> None:
        await ports.log.append([event(ns, "b")])
        batch = [
            event(ns, "a", guard=guard(ns, "a", 0)),
            event(ns, "b", "started", guard=guard(ns, "b", 0)),
        ]
        with pytest.raises(Conflict):
            await ports.log.append(batch)
        assert len(await ports.log.read(everything(ns))) == 1

    async def test_a_batch_may_guard_its_first_message_of_each_aggregate(
        self, ports: Ports, ns: str
    ) -> None:
        first = await ports.log.append([event(ns, "b")])
        await ports.log.append(
            [
                event(ns, "a", guard=guard(ns, "a", 0)),
                event(ns, "a", "started"),
                event(ns, "b", "started", guard=guard(ns, "b", first.sequence)),
                event(ns, "a", "succeeded"),
            ]
        )
        assert len(await ports.log.read(everything(ns))) == 5

    async def test_a_batch_sent_again_is_a_duplicate(self, ports: Ports, ns: str) -> None:
        batch = [event(ns, "a", guard=guard(ns, "a", 0)), event(ns, "b"), event(ns, "a", "started")]
        first = await ports.log.append(batch)
        again = await ports.log.append(batch)
        assert again == Appended(first.sequence, duplicate=True)
        assert len(await ports.log.read(everything(ns))) == 3

    async def test_a_batch_that_holds_anothers_id_is_a_conflict_and_appends_nothing(
        self, ports: Ports, ns: str
    ) -> None:
        await ports.log.append([event(ns, "b")])
        with pytest.raises(Conflict):
            await ports.log.append([event(ns, "a", guard=guard(ns, "a", 0)), event(ns, "b")])
        assert len(await ports.log.read(everything(ns))) == 1

    async def test_a_batch_that_holds_an_id_twice_is_a_conflict_and_appends_nothing(
        self, ports: Ports, ns: str
    ) -> None:
        with pytest.raises(Conflict):
            await ports.log.append([event(ns, "a"), event(ns, "a", payload=b"{}")])
        assert await ports.log.read(everything(ns)) == []

    async def test_every_guard_of_a_batch_is_checked_against_the_log_before_it(
        self, ports: Ports, ns: str
    ) -> None:
        both = guard(ns, "a", 0)
        await ports.log.append([event(ns, "a", guard=both), event(ns, "a", "started", guard=both)])
        assert len(await ports.log.read(everything(ns))) == 2

    async def test_a_batch_of_the_greatest_size_is_appended(self, ports: Ports, ns: str) -> None:
        appended = await ports.log.append(events(ns, BATCH_MESSAGES_MAX))
        assert await ports.log.head([everything(ns)]) == appended.sequence
        assert len(await ports.log.read(everything(ns))) == BATCH_MESSAGES_MAX

    async def test_an_append_of_none_or_of_too_many_messages_is_refused(
        self, ports: Ports, ns: str
    ) -> None:
        for wrong in ([], events(ns, BATCH_MESSAGES_MAX + 1)):
            with pytest.raises(ValueError, match="append holds 1 to"):
                await ports.log.append(wrong)
        assert await ports.log.read(everything(ns)) == []

    async def test_a_big_payload_is_stored_whole(self, ports: Ports, ns: str) -> None:
        payload = bytes(PAYLOAD_BYTES_MAX - 4096)
        await ports.log.append([event(ns, "a", payload=payload)])
        (stored,) = await ports.log.read(everything(ns))
        assert stored.payload == payload

    async def test_a_payload_above_the_limit_is_too_large(self, ports: Ports, ns: str) -> None:
        with pytest.raises(TooLarge):
            await ports.log.append([event(ns, "a", payload=bytes(PAYLOAD_BYTES_MAX + 1))])
        with pytest.raises(TooLarge):
            await ports.log.append(
                [event(ns, "a"), event(ns, "b", payload=bytes(PAYLOAD_BYTES_MAX + 1))]
            )
        with pytest.raises(TooLarge):
            await ports.log.append(
                [
                    event(ns, "a"),
                    event(ns, "b", payload=bytes(PAYLOAD_BYTES_MAX + 1)),
                    event(ns, "c"),
                ]
            )
        assert await ports.log.read(everything(ns)) == []
