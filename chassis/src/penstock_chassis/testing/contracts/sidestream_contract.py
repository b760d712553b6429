"""The contracts of telemetry and of dead letters."""
# ruff: noqa: D102 - the name of a test is its sentence

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from penstock_chassis.errors import NotFound
from penstock_chassis.ports import DeadLetter, Ports
from penstock_chassis.testing.contracts.suite import Suite

SOON_SECONDS = 10.0

Outwait = Callable[[], Awaitable[None]]
"""The fixture `outwait` of an implementation: returns when its duplicate window has passed."""


class TelemetryContract(Suite):
    """The stream of metrics and logs."""

    async def test_what_is_published_can_be_read_in_order(self, ports: Ports, ns: str) -> None:
        for number in range(4):
            subject = f"telemetry.{ns}.job.metric.a{number}"
            await ports.telemetry.publish(subject, str(number).encode(), f"{ns}:{number}")
        stored = await ports.telemetry.read(f"telemetry.{ns}.>")
        assert [item.payload for item in stored] == [b"0", b"1", b"2", b"3"]
        (rest,) = await ports.telemetry.read(f"telemetry.{ns}.>", after=stored[1].sequence, limit=1)
        assert rest.sequence == stored[2].sequence

    async def test_one_id_is_stored_once(self, ports: Ports, ns: str) -> None:
        for _ in range(2):
            await ports.telemetry.publish(f"telemetry.{ns}.job.log.a", b"x", f"{ns}:1")
        assert len(await ports.telemetry.read(f"telemetry.{ns}.>")) == 1

    async def test_follow_gives_what_is_there_and_then_what_comes(
        self, ports: Ports, ns: str
    ) -> None:
        await ports.telemetry.publish(f"telemetry.{ns}.job.metric.a", b"old", f"{ns}:1")
        following = ports.telemetry.follow(f"telemetry.{ns}.*.metric.>")
        async with asyncio.timeout(SOON_SECONDS):
            assert (await anext(following)).payload == b"old"
            await ports.telemetry.publish(f"telemetry.{ns}.job.log.a", b"log", f"{ns}:2")
            await ports.telemetry.publish(f"telemetry.{ns}.job.metric.a", b"new", f"{ns}:3")
            assert (await anext(following)).payload == b"new"


class DeadLettersContract(Suite):
    """The stream of dead letters."""

    async def test_a_letter_comes_back_with_all_that_was_in_it(self, ports: Ports, ns: str) -> None:
        given = letter(ns, 7)
        await ports.dead_letters.put(given)
        (found,) = await _of(ports, ns)
        assert (found.subject, found.sequence, found.deliveries) == (given.subject, 7, 6)
        assert (found.reason, found.traceback) == (given.reason, given.traceback)
        assert found.payload == given.payload
        assert dict(found.headers) == dict(given.headers)
        assert found.position > 0
        assert found.time is not None

    async def test_a_letter_is_stored_once_per_service_and_sequence(
        self, ports: Ports, ns: str
    ) -> None:
        for sequence in (1, 2, 1):
            await ports.dead_letters.put(letter(ns, sequence))
        assert [found.sequence for found in await _of(ports, ns)] == [1, 2]

    async def test_a_letter_is_stored_once_even_after_the_duplicate_window(
        self, ports: Ports, ns: str, outwait: Outwait
    ) -> None:
        await ports.dead_letters.put(letter(ns, 1))
        (first,) = await _of(ports, ns)
        await outwait()
        await ports.dead_letters.put(letter(ns, 1))
        await ports.dead_letters.put(letter(ns, 12))
        again, other = await _of(ports, ns)
        assert again == first
        assert other.sequence == 12

    async def test_a_dropped_letter_can_be_put_again(self, ports: Ports, ns: str) -> None:
        await ports.dead_letters.put(letter(ns, 1))
        (first,) = await _of(ports, ns)
        await ports.dead_letters.drop(first.position)
        await ports.dead_letters.put(letter(ns, 1))
        (again,) = await _of(ports, ns)
        assert again.position > first.position

    async def test_a_dropped_letter_is_gone_and_the_others_stay(
        self, ports: Ports, ns: str
    ) -> None:
        for sequence in (1, 2, 3):
            await ports.dead_letters.put(letter(ns, sequence))
        dropped = (await _of(ports, ns))[1].position
        await ports.dead_letters.drop(dropped)
        assert [found.sequence for found in await _of(ports, ns)] == [1, 3]
        with pytest.raises(NotFound):
            await ports.dead_letters.drop(dropped)

    async def test_a_letter_that_was_never_put_is_not_found(self, ports: Ports, ns: str) -> None:
        await ports.dead_letters.put(letter(ns, 1))
        with pytest.raises(NotFound):
            await ports.dead_letters.drop(1_000_000)


def letter(ns: str, sequence: int) -> DeadLetter:
    """A letter of the service that is named like the namespace."""
    return DeadLetter(
        service=ns,
        subject=f"penstock.{ns}.job.requested.a",
        sequence=sequence,
        reason="the field “queue” is wrong:\nname a queue",
        deliveries=6,
        traceback='Traceback:\n  File "x.py"\nValueError: ü',
        payload=b"\x00\xff{",
        headers={"ce-id": "a b", "Nats-Msg-Id": f"{ns}:{sequence}:original"},
    )


async def _of(ports: Ports, ns: str) -> list[DeadLetter]:
    return [found for found in await ports.dead_letters.list() if found.service == ns]
