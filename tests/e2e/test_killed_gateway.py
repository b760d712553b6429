"""SIGKILL of the gateway while a client publishes: each event is in the log exactly once."""

import asyncio
import itertools
import os
import socket
import sys
from collections import Counter
from pathlib import Path

import pytest

from penstock.client import AsyncClient
from penstock_chassis.adapters.nats.ports import nats_ports
from penstock_chassis.embedded import DataDir
from penstock_chassis.message import read_recorded
from penstock_chassis.platform import UpOptions, running_platform
from penstock_schemas import QueueRequested, filter_of

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

EVENTS = 200
AT_ONCE = 4
KILLS = 3
THINGS = 20
"""Fewer than events: several change the same thing, so that their guards meet."""
READY_SECONDS = 60.0


class Gateway:
    """A gateway in a process of its own, killed and started again on one port."""

    def __init__(self, environment: dict[str, str]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.port = int(server.getsockname()[1])
        self._environment = os.environ | environment
        self._environment |= {
            "PENSTOCK_GATEWAY_PORT": str(self.port),
            "PENSTOCK_HEALTH_PORT": "0",
            "PENSTOCK_LOG_LEVEL": "error",
        }
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it, and wait until it listens."""
        penstock = Path(sys.executable).with_name("penstock")
        words = (penstock, "service", "run", "gateway")
        self._process = await asyncio.create_subprocess_exec(*words, env=self._environment)
        async with asyncio.timeout(READY_SECONDS):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except OSError:
                    assert self._process.returncode is None
                    await asyncio.sleep(0.05)  # e2e: a process has no event to wait for
                else:
                    writer.close()
                    return

    async def kill(self) -> None:
        """SIGKILL."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()


async def test_each_event_is_in_the_log_exactly_once(tmp_path: Path) -> None:
    with DataDir.ephemeral() as directory:
        async with running_platform(directory, UpOptions(services=["scheduler"])) as platform:
            settings = platform.settings
            gateway = Gateway(
                {
                    "PENSTOCK_NATS_URL": settings.nats_url,
                    "PENSTOCK_WORK_DIR": str(tmp_path),
                    "PENSTOCK_GATEWAY_WORK_DIR": str(tmp_path),
                    "PENSTOCK_OBJECTS_ENDPOINT": settings.objects_endpoint,
                    "PENSTOCK_OBJECTS_ACCESS_KEY": settings.objects_access_key,
                    "PENSTOCK_OBJECTS_SECRET_KEY": settings.objects_secret_key.get_secret_value(),
                }
            )
            await gateway.start()
            try:
                receipts, killed = await publish_under_kills(gateway)
            finally:
                await gateway.kill()
            assert killed == KILLS
            async with nats_ports(settings, objects=None) as ports:  # type: ignore[arg-type]
                stored = await ports.log.read(filter_of("lab", "queue.requested"))
    events = [read_recorded(one) for one in stored]
    quotas = Counter(int(event.event.model_dump()["cpu_quota"]) for event in events)
    assert quotas == dict.fromkeys(range(EVENTS), 1)
    assert {event.id: event.sequence for event in events} == receipts


async def publish_under_kills(gateway: Gateway) -> tuple[dict[str, int], int]:
    """Publish them all while the gateway is killed in between; what the client was told."""
    receipts: dict[str, int] = {}
    numbers, killed = itertools.count(), 0
    due = asyncio.Event()
    async with AsyncClient(f"http://127.0.0.1:{gateway.port}", "lab") as client:
        await client.platform()

        async def publisher() -> None:
            for number in numbers:
                if number >= EVENTS:
                    return
                wish = QueueRequested(queue=f"queue-{number % THINGS}", cpu_quota=number)
                done = await client.publish(wish)
                receipts[done.id] = done.sequence
                if len(receipts) % (EVENTS // (KILLS + 1)) == 0:
                    due.set()

        async def killer() -> None:
            nonlocal killed
            for _ in range(KILLS):
                await due.wait()
                due.clear()
                await gateway.kill()  # with requests of the other publishers in hand
                killed += 1
                await gateway.start()

        await asyncio.gather(killer(), *(publisher() for _ in range(AT_ONCE)))
    return receipts, killed
