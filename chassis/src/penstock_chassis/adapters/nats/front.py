"""FastStream as the front of a service: handlers, middleware, lifespan and AsyncAPI are its;
pulling and acknowledging are ours.

FastStream's own pull loop waits for whole batches, over-fetches with several workers and drops
a message at the first exception (measured: docs/adr/0002). So a service's handlers are declared
on a subscriber that FastStream never feeds: the consumer loop hands each delivery to
`process_message`, and what it raises comes back to the loop, which alone ends deliveries.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, cast

from faststream import AckPolicy
from faststream._internal.broker.registrator import Registrator
from faststream._internal.endpoint.subscriber.call_item import CallsCollection
from faststream.exceptions import SubscriberNotFound
from faststream.nats import JStream, NatsBroker, PullSub
from faststream.nats.configs import NatsBrokerConfig
from faststream.nats.message import NatsMessage
from faststream.nats.subscriber.config import (
    NatsSubscriberConfig,
    NatsSubscriberSpecificationConfig,
)
from faststream.nats.subscriber.specification import NatsSubscriberSpecification
from faststream.nats.subscriber.usecases import PullStreamSubscriber
from faststream.response import Response, ensure_response
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import ConsumerConfig

from penstock_chassis.adapters.nats.client import connect
from penstock_chassis.adapters.nats.connection import connection_options
from penstock_chassis.adapters.nats.consumers import NatsDelivery
from penstock_chassis.adapters.nats.streams import EVENTS
from penstock_chassis.consumer import Dispatch
from penstock_chassis.dispatch import Dispatcher
from penstock_chassis.message import Recorded
from penstock_chassis.ports import Delivery
from penstock_schemas import Event, filter_of

GRACEFUL_SECONDS = 20.0


class _Fed(NamedTuple):
    """What FastStream takes for the raw message: the delivery, already read."""

    raw: Msg
    message: Recorded
    deliveries: int


class FedSubscriber(PullStreamSubscriber):
    """A subscriber that the consumer loop feeds."""

    async def _create_subscription(self) -> None:
        """Nothing to subscribe to: messages are handed to `process_message`."""

    async def process_message(self, msg: Msg) -> Response:
        """Find the handler and call it, as FastStream does.

        Where the broker has no middleware, this leaves out what then has nothing to do: the
        stack of context managers, the scopes of a dependency injection that is switched off,
        the log lines of a logger that is None and the lock of a drain that the loop has done.
        They cost more than the rest.
        """
        if self._broker_middlewares:
            return await super().process_message(msg)
        cache: dict[Any, Any] = {}
        for item in self.calls:
            message = await item.is_suitable(msg, cache)
            if message is not None:
                return ensure_response(await item.call(message, ()))
        raise SubscriberNotFound(f"there is no handler for {msg}")


class Broker(NatsBroker):
    """FastStream's broker on our own connection."""

    async def _connect(self) -> Client:
        connection = await connect(**self._connection_kwargs)
        cast(NatsBrokerConfig, self.config).connect(connection)
        return connection


def make_broker(url: str, name: str) -> NatsBroker:
    """The broker of one service. No FastDepends on the hot path (it costs four thread hops a
    message) and no log lines of its own: the chassis writes one canonical line an event."""
    return Broker(
        **connection_options(url, name),
        apply_types=False,
        logger=None,
        graceful_timeout=GRACEFUL_SECONDS,
    )


def declare(
    broker: NatsBroker,
    service: str,
    handlers: Mapping[type[Event], Callable[[Recorded], Awaitable[None]]],
    dispatcher: Dispatcher,
) -> Dispatch:
    """Declare a service's handlers on the broker; the dispatch that runs through FastStream."""
    filters = sorted(event.type for event in handlers)
    subscriber = _subscriber(broker, service, filters)

    subscriber.add_call(parser_=_parse, decoder_=_decode, dependencies_=())
    for event, handler in handlers.items():
        subscriber(_handler(dispatcher, handler, event), filter=_of_type(event.type))

    async def dispatch(delivery: Delivery) -> None:
        assert isinstance(delivery, NatsDelivery)
        message = await dispatcher.read(delivery.message)
        if message is None:
            return
        fed = _Fed(delivery.raw, message, delivery.deliveries)
        await subscriber.process_message(cast(Msg, fed))

    return dispatch


def _subscriber(broker: NatsBroker, service: str, types: list[str]) -> FedSubscriber:
    """What `broker.subscriber(pull_sub=True)` would make, with our class in its place."""
    subjects = [filter_of(type=type) for type in types]
    calls: CallsCollection[Any] = CallsCollection()
    config = cast(NatsBrokerConfig, broker.config)
    subscriber = FedSubscriber(
        NatsSubscriberConfig(
            subject=subjects[0] if len(subjects) == 1 else "",
            sub_config=ConsumerConfig(durable_name=service, filter_subjects=subjects),
            extra_options={"durable": service, "stream": EVENTS},
            no_reply=True,
            _outer_config=config,
            _ack_policy=AckPolicy.MANUAL,
        ),
        NatsSubscriberSpecification(
            _outer_config=config,
            calls=calls,
            specification_config=NatsSubscriberSpecificationConfig(
                subject=subjects[0] if len(subjects) == 1 else "",
                queue=None,
                filter_subjects=subjects,
                title_=service,
                description_=None,
                include_in_schema=True,
            ),
        ),
        calls,
        queue="",
        pull_sub=PullSub(),
        stream=JStream(EVENTS, declare=False),
    )
    Registrator.subscriber(broker, subscriber, persistent=True)
    return subscriber


def _handler(
    dispatcher: Dispatcher, handler: Callable[[Recorded], Awaitable[None]], event: type[Event]
) -> Callable[[Any], Awaitable[None]]:
    async def handle(body: tuple[Recorded, int]) -> None:
        await dispatcher.handle(*body)

    handle.__name__ = f"on_{event.type.replace('.', '_').replace('-', '_')}"
    handle.__doc__ = getattr(getattr(handler, "func", handler), "__doc__", None)
    return handle


def _of_type(type: str) -> Callable[[NatsMessage], Awaitable[bool]]:
    async def matches(message: NatsMessage) -> bool:
        return _body(message)[0].type == type

    return matches


async def _parse(fed: _Fed) -> NatsMessage:
    return NatsMessage(
        raw_message=fed.raw,
        body=(fed.message, fed.deliveries),
        headers=fed.raw.headers or {},
        message_id=fed.message.id,
        correlation_id=fed.message.correlation_id,
    )


async def _decode(message: NatsMessage) -> tuple[Recorded, int]:
    """What the parser brought along: decoding came first, so that it can be refused."""
    return _body(message)


def _body(message: NatsMessage) -> tuple[Recorded, int]:
    return cast(tuple[Recorded, int], message.body)
