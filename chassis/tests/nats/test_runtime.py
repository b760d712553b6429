"""A service's host, drained while its service does not run."""

import asyncio
import socket

import pytest

from penstock_chassis.adapters.s3 import S3ObjectStore, make_client
from penstock_chassis.errors import ChassisError
from penstock_chassis.ports import Ports
from penstock_chassis.runtime import ServiceHost
from penstock_chassis.service import Service, ServiceSpec
from penstock_chassis.settings import PlatformSettings, ServiceSettings
from penstock_chassis.testing import run

IN_A_LONG_PAUSE_SECONDS = 70.0
"""After pauses of 0.5, 1, 2, 4, 8, 16 and 30 s, 8.5 s into the next of 30 s."""
AT_ONCE_SECONDS = 5.0


def _build(settings: ServiceSettings, ports: Ports) -> Service:
    raise ChassisError("never built here")


def _host(nats_url: str) -> ServiceHost:
    platform = PlatformSettings().model_copy(update={"nats_url": nats_url})
    objects = S3ObjectStore(make_client(platform), platform.objects_bucket)
    spec = ServiceSpec("broken", ServiceSettings, _build, "fails at each start")
    return ServiceHost(spec, ServiceSettings(), platform, objects)


def test_a_drain_ends_the_pause_before_the_next_start() -> None:
    async def drained() -> float:
        host = _host("not a url")
        running = asyncio.create_task(host.run())
        await asyncio.sleep(IN_A_LONG_PAUSE_SECONDS)
        assert not running.done()
        loop = asyncio.get_running_loop()
        asked = loop.time()
        await host.drain()
        await running
        return loop.time() - asked

    assert run(drained(), seed=1) == 0.0


@pytest.mark.e2e
async def test_a_drain_ends_the_wait_for_a_bus_that_does_not_answer() -> None:
    asked, ended = asyncio.Event(), asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await ended.wait()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0, family=socket.AF_INET)
    async with server:
        port = server.sockets[0].getsockname()[1]
        host = _host(f"nats://127.0.0.1:{port}")
        running = asyncio.create_task(host.run())
        await asked.wait()
        async with asyncio.timeout(AT_ONCE_SECONDS):
            await host.drain()
            await running
        ended.set()
