"""The lean client on a real server: it behaves as nats-py's own where it goes its own way."""

import asyncio
from collections.abc import AsyncIterator

import nats
import pytest
from nats.aio.msg import Msg
from nats.errors import BadSubjectError, ConnectionClosedError, NoRespondersError, TimeoutError

from penstock_chassis.adapters.nats.client import LeanClient, connect, listen
from penstock_chassis.embedded import DataDir, EmbeddedNats

pytestmark = pytest.mark.e2e

SOON_SECONDS = 10.0


class Inbox:
    """A sink that keeps what came, and can be waited for."""

    def __init__(self) -> None:
        self.messages: list[Msg] = []
        self._came = asyncio.Event()

    def __call__(self, message: Msg) -> None:
        self.messages.append(message)
        self._came.set()

    async def count(self, count: int) -> list[bytes]:
        async with asyncio.timeout(SOON_SECONDS):
            while len(self.messages) < count:
                self._came.clear()
                await self._came.wait()
        return [message.data for message in self.messages]


@pytest.fixture
async def server() -> AsyncIterator[EmbeddedNats]:
    with DataDir.ephemeral() as directory:
        async with EmbeddedNats(directory) as server:
            yield server


@pytest.fixture
async def client(server: EmbeddedNats) -> AsyncIterator[LeanClient]:
    client = await connect(servers=server.url, reconnect_time_wait=0.01)
    yield client
    await client.close()


async def test_a_sink_gets_every_message_in_order_with_its_headers(client: LeanClient) -> None:
    inbox = Inbox()
    await client.listen("a.*", inbox)
    for number in range(100):
        await client.publish(f"a.{number}", b"%d" % number, "reply", {"ce-id": f"ü{number}"})
    assert await inbox.count(100) == [b"%d" % number for number in range(100)]
    last = inbox.messages[-1]
    assert (last.subject, last.reply, last.headers) == ("a.99", "reply", {"ce-id": "ü99"})
    assert client.stats["in_msgs"] == 100


async def test_after_the_end_of_a_subscription_nothing_comes(client: LeanClient) -> None:
    ended, other = Inbox(), Inbox()
    subscription = await client.listen("a", ended)
    await client.listen("a", other)
    await subscription.unsubscribe()
    await client.publish("a", b"x")
    assert await other.count(1) == [b"x"]
    assert ended.messages == []
    assert len(client._sinks) == 1


async def test_what_a_sink_raises_is_reported_and_the_connection_goes_on(
    server: EmbeddedNats,
) -> None:
    reported: list[Exception] = []

    async def report(error: Exception) -> None:
        reported.append(error)

    client = await connect(servers=server.url, error_cb=report)
    inbox = Inbox()

    def sink(message: Msg) -> None:
        if message.data == b"bad":
            raise ValueError("not for me")
        inbox(message)

    await client.listen("a", sink)
    for data in (b"bad", b"good"):
        await client.publish("a", data)
    assert await inbox.count(1) == [b"good"]
    assert [str(error) for error in reported] == ["not for me"]
    await client.close()


async def test_requests_side_by_side_get_each_their_own_answer(client: LeanClient) -> None:
    async def answer(message: Msg) -> None:
        await client.publish(message.reply, message.data[::-1], headers={"by": "us"})

    await client.subscribe("ask", cb=answer)
    asked = [b"%04d" % number for number in range(200)]
    answers = await asyncio.gather(*(client.request("ask", item, 10.0) for item in asked))
    assert [item.data for item in answers] == [item[::-1] for item in asked]
    assert answers[0].headers == {"by": "us"}
    assert not client._answers


async def test_a_request_without_an_answer_ends_as_in_nats_py(client: LeanClient) -> None:
    with pytest.raises(NoRespondersError):
        await client.request("nobody", b"", 10.0)
    await client.listen("silent", Inbox())
    with pytest.raises(TimeoutError):
        await client.request("silent", b"", 0.01)
    with pytest.raises(BadSubjectError):
        await client.request("no subject", b"", 10.0)
    assert not client._answers
    await client.close()
    with pytest.raises(ConnectionClosedError):
        await client.request("silent", b"", 0.01)


async def test_a_cancelled_request_leaves_nothing_behind(client: LeanClient) -> None:
    asked = Inbox()
    await client.listen("silent", asked)
    request = asyncio.create_task(client.request("silent", b"", 10.0))
    await asked.count(1)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert not client._answers
    await client.publish(asked.messages[0].reply, b"too late")
    await client.flush()  # the late answer was read, and disturbed nothing


async def test_sinks_and_requests_outlive_a_restart_of_the_server() -> None:
    with DataDir.ephemeral() as directory:
        async with EmbeddedNats(directory) as server:
            back = asyncio.Event()

            async def reconnected() -> None:
                back.set()

            client = await connect(
                servers=server.url,
                reconnect_time_wait=0.01,
                max_reconnect_attempts=-1,
                reconnected_cb=reconnected,
            )
            inbox = Inbox()
            await client.listen("a", inbox)
            with pytest.raises(NoRespondersError):
                await client.request("nobody", b"", 10.0)
            await server.stop()
            await server.start()
            async with asyncio.timeout(SOON_SECONDS):
                await back.wait()
            await client.publish("a", b"x")
            assert await inbox.count(1) == [b"x"]
            with pytest.raises(NoRespondersError):
                await client.request("nobody", b"", 10.0)
            await client.close()


async def test_listening_works_on_a_connection_of_nats_py_too(server: EmbeddedNats) -> None:
    client = await nats.connect(server.url)
    inbox = Inbox()
    await listen(client, "a", inbox)
    await client.publish("a", b"x")
    assert await inbox.count(1) == [b"x"]
    await client.close()
