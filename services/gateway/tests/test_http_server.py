"""The real server on a loopback socket: live streams, resumption, draining."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any

import httpx
import pytest

from penstock_gateway.adapters.http_server import UvicornServer
from penstock_gateway.adapters.memory_rows import MemoryRows
from penstock_gateway.app import make_context
from penstock_gateway.http import streams
from penstock_gateway.http.application import make_application
from penstock_gateway.http.context import Context
from penstock_schemas import QueueRequested


@pytest.fixture
async def served(api: Any) -> AsyncIterator[tuple[Any, Context, str, "asyncio.Task[None]"]]:
    """The API on a real socket, over the same world."""
    context = make_context(api.settings, api.ports, MemoryRows())
    following = asyncio.create_task(context.fold.follow(api.ports.log))
    projecting = asyncio.create_task(context.reading.projector.run())
    server = UvicornServer("127.0.0.1", 0)
    task = asyncio.create_task(server.serve(make_application(context), context.streams.stop))
    await eventually(lambda: server.port > 0)
    yield api, context, f"http://127.0.0.1:{server.port}", task
    for ended in (task, following, projecting):
        ended.cancel()
        with suppress(asyncio.CancelledError):
            await ended


async def eventually(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came to be")


@asynccontextmanager
async def stream(
    base: str, query: str = "", headers: dict[str, str] | None = None
) -> AsyncIterator[AsyncIterator[str]]:
    """The lines of a stream."""
    async with (
        httpx.AsyncClient(timeout=10) as client,
        client.stream("GET", f"{base}/v1/-/event/stream{query}", headers=headers) as response,
    ):
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        async with aclosing(response.aiter_lines()) as lines:  # type: ignore[type-var]
            assert await anext(lines) == "retry: 1000"
            yield lines


async def next_event(lines: AsyncIterator[str]) -> tuple[int, dict[str, Any]]:
    found: dict[str, str] = {}
    async for line in lines:
        if not line and "data" in found:
            return int(found["id"]), json.loads(found["data"])
        name, _, value = line.partition(": ")
        found[name] = value
    raise AssertionError("the stream ended")


async def test_a_stream_tells_what_happens_from_now_on(served: Any) -> None:
    api, _, base, _ = served
    await api.append("job.requested")
    async with stream(base) as lines:
        await anext(lines)  # it is open
        await api.append("queue.requested")
        sequence, event = await next_event(lines)
    assert (sequence, event["sequence"], event["type"]) == (2, 2, "queue.requested")


async def test_a_stream_goes_on_behind_the_last_event_without_gap_or_duplicate(
    served: Any,
) -> None:
    api, _, base, _ = served
    seen: list[int] = []

    async def happen() -> None:
        for number in range(60):
            await api.append(QueueRequested(queue=f"q-{number}"))

    happening = asyncio.create_task(happen())
    while len(seen) < 60:
        headers = {"last-event-id": str(seen[-1] if seen else 0)}
        async with stream(base, "?type=queue.requested&after=0", headers) as lines:
            for _ in range(min(7, 60 - len(seen))):  # then the connection is lost
                seen.append((await next_event(lines))[0])
    await happening
    assert seen == list(range(1, 61))


async def test_a_quiet_stream_shows_that_it_lives(
    served: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    api, _, base, _ = served
    monkeypatch.setattr(streams, "HEARTBEAT_SECONDS", 0.05)
    async with stream(base) as lines:
        async for line in lines:
            if line == ": heartbeat":
                break
        await api.append("queue.requested")
        assert (await next_event(lines))[0] == 1


async def test_streams_are_bounded_and_given_back(
    served: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, context, base, _ = served
    monkeypatch.setattr(streams, "STREAMS_MAX", 1)
    async with stream(base) as lines:
        await anext(lines)
        async with httpx.AsyncClient() as client:
            refused = await client.get(f"{base}/v1/-/event/stream")
            assert refused.status_code == 503
    await eventually(lambda: context.streams.open == 0)
    async with stream(base) as lines:
        await anext(lines)


async def test_a_client_that_does_not_read_holds_up_nobody(served: Any) -> None:
    api, _, base, _ = served
    data = {"a": "x" * 100_000}
    async with stream(base, "?after=0") as silent, stream(base, "?after=0") as reading:
        await anext(silent)
        for number in range(100):
            await api.append("webhook.received", webhook=f"w-{number}", data=data)
            assert (await next_event(reading))[0] == number + 1


async def test_stopping_ends_streams_and_finishes_requests(served: Any) -> None:
    _, _, base, task = served
    async with stream(base) as lines:
        await anext(lines)
        started = asyncio.get_running_loop().time()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.get_running_loop().time() - started < 2
        assert [line async for line in lines if line.startswith("data")] == []
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(f"{base}/livez")


async def test_a_port_that_is_taken_says_so(served: Any) -> None:
    _, _, base, _ = served
    port = int(base.rsplit(":", 1)[1])
    with pytest.raises(OSError, match=f"127.0.0.1:{port}: .*choose another port"):
        await UvicornServer("127.0.0.1", port).serve(None, lambda: None)
