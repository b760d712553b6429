"""What plain NATS clients may get wrong, against the whole platform: each is answered by a
refusal or a dead letter, and what is valid beside it goes its way."""

import asyncio
import json
from collections.abc import AsyncIterator

import nats
import pytest
import pytest_asyncio
from nats.aio.client import Client
from nats.errors import MaxPayloadError

from penstock_chassis.adapters.nats.ports import nats_ports
from penstock_chassis.embedded import DataDir
from penstock_chassis.platform import Platform, UpOptions, running_platform
from penstock_chassis.ports import Ports, StoredMessage

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]
WAIT_SECONDS = 20.0
VALID = b'{"job": "%s", "program": {"command": ["true"]}}'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def platform() -> AsyncIterator[Platform]:
    with DataDir.ephemeral() as directory:
        options = UpOptions(services=["scheduler", "trainer", "gateway"])
        async with running_platform(directory, options) as running:
            yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ports(platform: Platform) -> AsyncIterator[Ports]:
    async with nats_ports(platform.settings, objects=None) as ports:  # type: ignore[arg-type]
        yield ports


@pytest_asyncio.fixture(loop_scope="module")
async def client(platform: Platform) -> AsyncIterator[Client]:
    client = await nats.connect(platform.settings.nats_url)
    yield client
    await client.close()


async def answer(ports: Ports, filter: str) -> StoredMessage:
    """The first event that matches, waiting for it."""
    async with asyncio.timeout(WAIT_SECONDS):
        async for stored in ports.log.follow([filter]):
            return stored
    raise AssertionError("the log never ends")


async def buried(ports: Ports, subject: str) -> str:
    """The reason of the dead letter of the message on a subject, waiting for it."""
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            for letter in await ports.dead_letters.list():
                if letter.subject == subject:
                    return letter.reason
            await asyncio.sleep(0.05)  # e2e: the stream of dead letters has no follower


async def test_a_message_without_envelope_is_taken(client: Client, ports: Ports) -> None:
    await client.publish("penstock.lab.job.requested.plain", VALID % b"plain")
    ended = await answer(ports, "penstock.lab.job.succeeded.plain")
    assert json.loads(ended.payload)["attempt"] == 1


@pytest.mark.parametrize(
    ("id", "payload", "field"),
    [
        ("wrong-type", b'{"job": "wrong-type", "program": {"command": 7}}', "program.command"),
        ("no-program", b'{"job": "no-program"}', "program"),
        ("not-json", b"{", "(payload)"),
        ("other-id", VALID % b"another", "job"),
        ("too-big", b'{"job": "too-big", "program": {"command": ["true"]}, '
         b'"resources": {"gpu": 64}}', "resources.gpu"),
    ],
)  # fmt: skip
async def test_a_wrong_wish_is_refused_by_field(
    client: Client, ports: Ports, id: str, payload: bytes, field: str
) -> None:
    await client.publish(f"penstock.lab.job.requested.{id}", payload)
    refused = json.loads((await answer(ports, f"penstock.lab.job.rejected.{id}")).payload)
    assert refused["field"] == field
    assert refused["reason"]


@pytest.mark.parametrize(
    ("subject", "headers", "words"),
    [
        ("penstock.lab.job.requested.a.b", None, "5 tokens"),
        ("penstock.lab.job.requested.UPPER", None, "is not a name"),
        ("penstock.lab.job.requested.bell\x07", None, "is not a name"),
        ("penstock.lab.job.exploded.x", None, "no event type"),
        ("penstock.lab.job.requested.v9",
         {"ce-dataschema": "urn:penstock:schema:job.requested:9"}, "no version 9"),
        ("penstock.lab.job.requested.liar", {"ce-type": "job.placed"}, "ce-type"),
    ],
)  # fmt: skip
async def test_what_cannot_be_read_is_a_dead_letter(
    client: Client, ports: Ports, subject: str, headers: dict[str, str] | None, words: str
) -> None:
    await client.publish(subject, VALID % b"x", headers=headers)
    assert words in await buried(ports, subject)


async def test_ten_megabytes_are_refused_by_the_client_library(client: Client) -> None:
    with pytest.raises(MaxPayloadError):
        await client.publish("penstock.lab.job.requested.huge", b"x" * 10 * 2**20)


async def test_ten_megabytes_by_force_disturb_nobody(platform: Platform, ports: Ports) -> None:
    host, port = platform.settings.nats_url.removeprefix("nats://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    size = 10 * 2**20
    writer.write(b'CONNECT {"verbose":false}\r\nPUB penstock.lab.job.requested.huge %d\r\n' % size)
    said = await asyncio.wait_for(reader.read(4096), WAIT_SECONDS)
    said += await asyncio.wait_for(reader.read(4096), WAIT_SECONDS)
    writer.close()
    assert b"Maximum Payload" in said
    assert await ports.log.head(["penstock.lab.job.requested.huge"]) == 0


async def test_after_all_that_a_valid_job_still_runs(client: Client, ports: Ports) -> None:
    await client.publish("penstock.lab.job.requested.last", VALID % b"last")
    await answer(ports, "penstock.lab.job.succeeded.last")


async def test_a_wrong_wish_under_the_id_of_a_running_job_is_not_its_end(
    client: Client, ports: Ports
) -> None:
    subject = "penstock.lab.job.requested.victim"
    sleeps = b'{"job": "victim", "program": {"command": ["sleep", "2"]}}'
    await client.publish(subject, sleeps)
    await answer(ports, "penstock.lab.job.started.victim")
    await client.publish(subject, b'{"job": "victim"}')
    await answer(ports, "penstock.lab.job.rejected.victim")
    await client.publish(subject, sleeps, headers={"ce-id": "another"})
    ended = await answer(ports, "penstock.lab.job.succeeded.victim")
    assert json.loads(ended.payload)["attempt"] == 1
    refusals = await ports.log.read("penstock.lab.job.rejected.victim")
    async with asyncio.timeout(WAIT_SECONDS):
        while len(refusals) < 2:
            await asyncio.sleep(0.05)
            refusals = await ports.log.read("penstock.lab.job.rejected.victim")
    assert json.loads(refusals[1].payload)["fix"] == "use a new id"
