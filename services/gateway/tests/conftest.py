"""The API over a gateway that runs on a simulated world, in ordinary time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from penstock_chassis.message import Draft, to_message
from penstock_chassis.ports import Ports
from penstock_chassis.service import ServiceRunner
from penstock_chassis.testing import SimWorld
from penstock_gateway.app import build
from penstock_gateway.settings import GatewaySettings
from penstock_gateway.testing import InProcessServer, signed
from penstock_schemas import Event, event_class

POLL_SECONDS = 0.01
POLLS_MAX = 1000
SECRET = "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ="


@dataclass
class Api:
    """A client of the API, and the world behind it."""

    client: httpx.AsyncClient
    world: SimWorld
    ports: Ports
    runner: ServiceRunner
    settings: GatewaySettings
    count: int = field(default=0)

    async def append(
        self,
        event: Event | str,
        namespace: str = "vision",
        cause: Any = None,
        **changes: Any,
    ) -> int:
        """Append an event (of a type: its example with changes) and wait until it is folded."""
        if isinstance(event, str):
            contract = event_class(event)
            event = contract.model_validate({**contract.example, **changes})
        self.count += 1
        message = to_message(
            Draft(event, namespace),
            source="test",
            cause=cause,
            id=f"event-{self.count}",
            now=self.ports.clock.now(),
        )
        await self.ports.log.append([message])
        await self.folded()
        return self.world.events.last

    async def folded(self) -> None:
        """Wait until the gateway has folded everything that it can."""
        fold = self.runner.service.folds[0]
        await fold.reach(await self.ports.log.head(fold.filters))

    async def get(self, path: str, **params: Any) -> Any:
        """The JSON of a successful answer."""
        answer = await self.client.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def eventually(self, path: str, **params: Any) -> list[dict[str, Any]]:
        """The items at a path once there are any: what other tasks bring about."""
        for _ in range(POLLS_MAX):
            items: list[dict[str, Any]] = (await self.get(path, **params))["items"]
            if items:
                return items
            await asyncio.sleep(POLL_SECONDS)
        raise AssertionError(f"there never was anything at {path}")

    async def deliver(
        self,
        delivery: str = "msg-1",
        document: Any = None,
        *,
        sender: str = "vision/airline",
        secret: str = SECRET,
        now: datetime | None = None,
        **headers: str,
    ) -> httpx.Response:
        """Send a webhook."""
        document = {"months": [4]} if document is None else document
        body, made = signed(secret, delivery, document, now or self.ports.clock.now())
        made |= {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.post(f"/v1/webhooks/{sender}", content=body, headers=made)


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    world = SimWorld()
    ports = world.ports("gateway")
    settings = GatewaySettings(
        work_dir=tmp_path,
        webhook_secrets={"vision/airline": SECRET},
        object_size_bytes_max=100_000,
    )
    server = InProcessServer()
    runner = ServiceRunner(build(settings, ports, server), ports)
    running = asyncio.create_task(runner.run())
    await asyncio.wait_for(server.serving.wait(), 10)
    await asyncio.wait_for(runner.ready.wait(), 10)
    transport = httpx.ASGITransport(server.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield Api(client, world, ports, runner, settings)
    await runner.drain()
    with suppress(asyncio.CancelledError):
        await asyncio.wait_for(running, 10)


def problem(answer: httpx.Response, status: int, field: str | None = None) -> dict[str, Any]:
    """Check that an answer is a refusal that says what it must; its document."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document["status"] == status
    assert document["title"]
    assert document["detail"]
    if field is not None:
        assert document.get("field") == field
    return document


@pytest.fixture(name="problem")
def problem_fixture() -> Any:
    return problem
