"""A whole platform that asks who comes: over HTTP, on the bus, with what a tenant is given."""

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import nats
import pytest
from minio import Minio
from minio.error import S3Error
from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeoutError

from penstock.client import NotFound, SignInNeeded
from penstock.client.aio import AsyncClient
from penstock_chassis.embedded import DataDir
from penstock_chassis.platform import Platform, UpOptions, running_platform
from penstock_schemas import JobRequested, Program
from penstock_schemas.tokens import hash_of, make_token

MINE, OTHER = "vision", "audio"
ENDS_SECONDS = 60.0
POLL_SECONDS = 0.05
OPTIONS = UpOptions(services=("gateway", "scheduler", "trainer"))

pytestmark = pytest.mark.e2e


@pytest.fixture
async def admin(monkeypatch: pytest.MonkeyPatch) -> str:
    token = make_token()
    monkeypatch.setenv("PENSTOCK_AUTH", "tokens")
    monkeypatch.setenv("PENSTOCK_ADMIN_TOKEN_HASH", hash_of(token))
    return token


@pytest.fixture
async def platform(admin: str, tmp_path: Path) -> AsyncIterator[Platform]:
    directory = DataDir(tmp_path / "data")
    directory.is_ephemeral = True
    with directory.locked():
        async with running_platform(directory, OPTIONS) as running:
            yield running


async def admitted(platform: Platform, namespace: str) -> None:
    """Wait until the bus has an account for the namespace: it follows the credential's event.

    Not by trying: nats-py leaves the socket of a connection that is refused open.
    """
    endpoints = platform.directory.read_endpoints()
    assert endpoints is not None
    async with httpx.AsyncClient() as monitor, asyncio.timeout(ENDS_SECONDS):
        while True:
            url = f"{endpoints.nats_monitor_url}/accountz?acc=NAMESPACE-{namespace}"
            if b"account_detail" in (await monitor.get(url)).content:
                return
            await asyncio.sleep(POLL_SECONDS)


async def asked(tenant: Any, subject: str, payload: bytes) -> bytes:
    """The answer to a request. While the server reloads, one may find nobody or be lost."""
    async with asyncio.timeout(ENDS_SECONDS):
        while True:
            try:
                return bytes((await tenant.request(subject, payload, timeout=1)).data)
            except (NoRespondersError, NatsTimeoutError):
                await asyncio.sleep(POLL_SECONDS)


async def test_a_tenant_runs_a_job_by_the_bus_and_sees_no_other(
    platform: Platform, admin: str
) -> None:
    url = platform.settings.gateway_url
    bus = f"nats://{platform.settings.nats_url.rpartition('@')[2]}"
    async with AsyncClient(url, MINE, token=admin) as client:
        made = await client.credential.create(role="editor")
        await client.member.add("ci", "editor")
        token = (await client.token.create(account="ci", role="editor"))["secret"]
    refusals: list[str] = []

    async def refused(error: Exception) -> None:
        refusals.append(str(error))

    await admitted(platform, MINE)
    tenant = await nats.connect(
        bus, nkeys_seed_str=made["seed"], error_cb=refused, allow_reconnect=False
    )
    job = JobRequested(job="by-bus", program=Program(command=("{python}", "-c", "print(1)")))
    ended = asyncio.Event()

    async def note(message: Any) -> None:
        assert message.subject.split(".")[1] == MINE
        if message.subject == f"penstock.{MINE}.job.succeeded.by-bus":
            ended.set()

    await tenant.subscribe(f"penstock.{MINE}.>", cb=note)
    await tenant.flush()
    answer = await asked(tenant, f"penstock.{MINE}.job.requested.by-bus", job.payload())
    assert b"EVENTS" in answer
    await asyncio.wait_for(ended.wait(), ENDS_SECONDS)
    await tenant.publish(f"penstock.{OTHER}.job.requested.by-bus", job.payload())
    await tenant.flush()
    async with AsyncClient(url, MINE, token=token) as client:
        assert [one.type async for one in client.event.list("job.succeeded", id="by-bus")]
        assert "1" in await client.job.logs("by-bus")
    for namespace, other, error in ((OTHER, token, NotFound), (MINE, make_token(), SignInNeeded)):
        async with AsyncClient(url, namespace, token=other) as client:
            with pytest.raises(error):
                await client.job.get("by-bus")
    async with httpx.AsyncClient() as stranger:
        assert (await stranger.get(f"{url}/v1/{MINE}/job")).status_code == 401
    async with AsyncClient(url, OTHER, token=admin) as client:
        assert await _all(client.job.list()) == []
    async with AsyncClient(url, MINE, token=admin) as client:
        await client.credential.revoke(made["credential"], reason="sold")
        audit = [event.type async for event in client.event.list("credential.*")]
    assert len(refusals) >= 1, "a wish for another namespace"
    assert audit == ["credential.issued", "credential.revoked"]
    await tenant.close()


async def test_a_tenant_reaches_its_own_objects_by_s3(platform: Platform, admin: str) -> None:
    async with AsyncClient(platform.settings.gateway_url, MINE, token=admin) as client:
        keys = await client.credential.create(kind="s3", role="editor")
    s3 = Minio(keys["endpoint"], keys["public_key"], keys["secret_key"], secure=False, region="x")

    def put(key: str) -> str | None:
        try:
            s3.put_object(keys["bucket"], key, io.BytesIO(b"x"), 1)
        except S3Error as error:
            return error.code
        return None

    async with asyncio.timeout(ENDS_SECONDS):
        while await asyncio.to_thread(put, f"{keys['prefix']}a") is not None:  # noqa: ASYNC110
            await asyncio.sleep(POLL_SECONDS)
    assert put(f"{OTHER}/a") == "AccessDenied"


async def _all(rows: Any) -> list[Any]:
    return [row async for row in rows]
