"""The ports of the chassis on one NATS connection."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nats.aio.client import Client

from penstock_chassis.adapters.nats.connection import connect_client
from penstock_chassis.adapters.nats.consumers import NatsConsumers
from penstock_chassis.adapters.nats.deadletters import NatsDeadLetters
from penstock_chassis.adapters.nats.kv import NatsKeyValues
from penstock_chassis.adapters.nats.log import NatsLog
from penstock_chassis.adapters.nats.streams import DEADLETTER, EVENTS, TELEMETRY, ensure_streams
from penstock_chassis.adapters.nats.telemetry import NatsTelemetry
from penstock_chassis.clock import SystemClock
from penstock_chassis.ports import ObjectStore, Ports
from penstock_chassis.settings import PlatformSettings


def ports_on(client: Client, settings: PlatformSettings, objects: ObjectStore) -> Ports:
    """The ports on an open connection; the streams must be there (`ensure_streams`)."""
    return Ports(
        log=NatsLog(client, EVENTS),
        consumers=NatsConsumers(client, EVENTS),
        kv=NatsKeyValues(client, settings.nats_replicas),
        objects=objects,
        telemetry=NatsTelemetry(client, TELEMETRY),
        dead_letters=NatsDeadLetters(client, DEADLETTER),
        clock=SystemClock(),
    )


@asynccontextmanager
async def nats_ports(
    settings: PlatformSettings, objects: ObjectStore, name: str = "penstock"
) -> AsyncIterator[Ports]:
    """Connect, make the streams, and hand out the ports; for tools and tests."""
    client = await connect_client(settings.nats_url, name)
    try:
        await ensure_streams(client, settings)
        yield ports_on(client, settings, objects)
    finally:
        await client.close()
