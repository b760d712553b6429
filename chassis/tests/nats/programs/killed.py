"""A process with one consumer whose handler of the aggregate `killer` ends it by SIGKILL.

python killed.py <nats url> <lease seconds> <deaths>
"""

import asyncio
import os
import signal
import sys

from penstock_chassis.adapters.nats.connection import connect_client
from penstock_chassis.adapters.nats.ports import ports_on
from penstock_chassis.consumer import ConsumerLoop
from penstock_chassis.deaths import Deaths
from penstock_chassis.ports import ConsumerSpec, Delivery
from penstock_chassis.settings import PlatformSettings
from penstock_chassis.testing import SimWorld


async def handle(delivery: Delivery) -> None:
    if delivery.message.subject.endswith(".killer"):
        os.kill(os.getpid(), signal.SIGKILL)


async def main(url: str, lease_seconds: float, deaths: int) -> None:
    client = await connect_client(url, "killed")
    settings = PlatformSettings().model_copy(update={"nats_url": url})
    ports = ports_on(client, settings, SimWorld(seed=1).ports().objects)
    spec = ConsumerSpec("killed", ("penstock.team.>",), lease_seconds)
    await ConsumerLoop(
        spec.name,
        await ports.consumers.open(spec),
        handle,
        ports.dead_letters,
        lease_seconds=lease_seconds,
        deaths=Deaths(spec.name, ports.kv, deaths),
    ).run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3])))
