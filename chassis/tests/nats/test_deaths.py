"""A message that really kills its process is found out across processes, on a real server."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest
from nats.aio.client import Client

from penstock_chassis.adapters.nats.connection import connect_client
from penstock_chassis.adapters.nats.ports import ports_on
from penstock_chassis.adapters.nats.streams import ensure_streams
from penstock_chassis.embedded import DataDir, EmbeddedNats
from penstock_chassis.ports import Ports
from penstock_chassis.settings import PlatformSettings
from penstock_chassis.testing import SimWorld
from penstock_chassis.testing.contracts.deliveries import eventually
from penstock_chassis.testing.contracts.suite import event

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(90)]

PROGRAM = Path(__file__).parent / "programs" / "killed.py"
LEASE_SECONDS = 0.5
DEATHS = 2
LIFE_SECONDS_MAX = 20.0


def _ports(client: Client, url: str) -> Ports:
    settings = PlatformSettings().model_copy(update={"nats_url": url})
    return ports_on(client, settings, SimWorld(seed=1).ports().objects)


async def _is_buried(ports: Ports) -> bool:
    return bool(await ports.dead_letters.list()) and await ports.consumers.pending("killed") == 0


async def _killed(url: str) -> bool:
    """Run the process until it dies (true) or nothing is left for it to do."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, PROGRAM, url, str(LEASE_SECONDS), str(DEATHS)
    )
    client = await connect_client(url, "test")
    try:
        ports = _ports(client, url)
        ended = asyncio.create_task(process.wait())
        buried = asyncio.create_task(eventually(lambda: _is_buried(ports)))
        async with asyncio.timeout(LIFE_SECONDS_MAX):
            await asyncio.wait({ended, buried}, return_when=asyncio.FIRST_COMPLETED)
        buried.cancel()
        await asyncio.gather(buried, return_exceptions=True)
        if process.returncode is None:
            process.terminate()
        return await ended == -signal.SIGKILL
    finally:
        await client.close()


async def test_a_message_that_kills_its_process_again_and_again_becomes_a_dead_letter() -> None:
    with DataDir.ephemeral() as directory:
        async with EmbeddedNats(directory) as server:
            client = await connect_client(server.url, "test")
            await ensure_streams(client, PlatformSettings())
            ports = _ports(client, server.url)
            for name in ("killer", "innocent"):
                await ports.log.append([event("team", name)])
            lives = [await _killed(server.url)]
            while lives[-1]:
                lives.append(await _killed(server.url))
            (letter,) = await ports.dead_letters.list()
            assert letter.subject.endswith(".killer")
            assert f"{DEATHS} times in a row" in letter.reason
            assert lives == [True] * (DEATHS + 1) + [False]
            await client.close()
