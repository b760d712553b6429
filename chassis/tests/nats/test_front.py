"""FastStream's path and our short one through it lead to the same handler with the same outcome."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from faststream import BaseMiddleware
from nats.aio.msg import Msg

from penstock_chassis.adapters.nats.client import LeanClient
from penstock_chassis.adapters.nats.consumers import NatsDelivery
from penstock_chassis.adapters.nats.front import declare, make_broker
from penstock_chassis.adapters.nats.stored import parse_ack
from penstock_chassis.dispatch import Dispatcher
from penstock_chassis.embedded import DataDir, EmbeddedNats
from penstock_chassis.errors import Reject, Retry
from penstock_chassis.message import Draft, Recorded, to_message
from penstock_chassis.testing import SimWorld
from penstock_chassis.testing.loop import EPOCH
from penstock_schemas import Event, JobCancelRequested, JobRequested, Program

pytestmark = pytest.mark.e2e


class Seen(BaseMiddleware):
    """A middleware of somebody's own; FastStream makes an instance for each message."""

    types: list[str] = []

    async def consume_scope(self, call_next: Any, msg: Any) -> Any:
        Seen.types.append(msg.body[0].type)
        return await call_next(msg)


@pytest.fixture(params=[False, True], ids=["short path", "with a middleware"])
async def broker(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    Seen.types.clear()
    with DataDir.ephemeral() as directory:
        async with EmbeddedNats(directory) as server:
            broker = make_broker(server.url, "test")
            if request.param:
                broker.add_middleware(Seen)
            yield broker
            await broker.stop()


def delivery(event: Event, deliveries: int = 1) -> NatsDelivery:
    message = to_message(Draft(event, "team"), source="test", cause=None, id="one", now=EPOCH)
    reply = f"$JS.ACK.EVENTS.jobs.{deliveries}.7.3.1700000000000000000.0"
    raw = Msg(LeanClient(), message.subject, reply, message.payload, dict(message.headers))
    return NatsDelivery(raw, parse_ack(reply))


REQUEST = JobRequested(job="a", program=Program(command=("true",)))
CANCEL = JobCancelRequested(job="a", reason="enough")


async def test_each_event_reaches_its_own_handler_and_what_it_raises_comes_back(
    broker: Any,
) -> None:
    got: list[tuple[str, Recorded]] = []

    async def on_job_requested(message: Recorded) -> None:
        got.append(("requested", message))
        raise Retry(1.0, "later")

    async def on_job_cancel_requested(message: Recorded) -> None:
        got.append(("cancel", message))

    handlers: Any = {
        JobRequested: on_job_requested,
        JobCancelRequested: on_job_cancel_requested,
    }
    dispatcher = Dispatcher("jobs", handlers, SimWorld(seed=0).ports())
    dispatch = declare(broker, "jobs", handlers, dispatcher)
    assert isinstance(await broker.connect(), LeanClient)
    await broker.start()
    await dispatch(delivery(CANCEL))
    with pytest.raises(Retry, match="later"):
        await dispatch(delivery(REQUEST, deliveries=2))
    assert [name for name, _ in got] == ["cancel", "requested"]
    assert [message.event for _, message in got] == [CANCEL, REQUEST]
    assert {message.sequence for _, message in got} == {7}
    asked = broker.config.broker_middlewares
    assert Seen.types == (["job.cancel-requested", "job.requested"] if asked else [])


async def test_an_event_that_cannot_be_read_is_rejected_before_any_handler(broker: Any) -> None:
    async def on_job_requested(message: Recorded) -> None:
        raise AssertionError("it was handled")

    handlers: Any = {JobRequested: on_job_requested}
    dispatcher = Dispatcher("jobs", handlers, SimWorld(seed=0).ports())
    dispatch = declare(broker, "jobs", handlers, dispatcher)
    await broker.start()
    torn = delivery(REQUEST)
    torn.message.headers["ce-type"] = "job.queued"  # type: ignore[index]
    with pytest.raises(Reject, match="ce-type"):
        await dispatch(torn)
