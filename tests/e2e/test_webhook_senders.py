"""Senders that people have, set up by the commands of docs/webhooks.md, against a real platform:
the libraries of Standard Webhooks and of CloudEvents, and the notifications of a real weed."""

import asyncio
import base64
import contextlib
import json
import os
import re
import secrets
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from cloudevents.core.bindings.http import HTTPMessage, to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent
from standardwebhooks import Webhook

from penstock.client.sync import Client
from penstock_chassis.adapters.nats.ports import nats_ports
from penstock_chassis.embedded import DataDir, binaries, loopback
from penstock_chassis.embedded.weed_command import grpc_sockets
from penstock_chassis.platform import Platform, UpOptions, running_platform
from penstock_chassis.ports import Ports
from penstock_gateway.domain.schemes import SCHEMES

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]
WAIT_SECONDS = 60.0
POLL_SECONDS = 0.1
TOKEN = "a-token-of-the-sender"
PAGE = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text("utf-8")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def platform() -> AsyncIterator[Platform]:
    with DataDir.ephemeral() as directory:
        async with running_platform(directory, UpOptions(services=["gateway"])) as running:
            yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ports(platform: Platform) -> AsyncIterator[Ports]:
    async with nats_ports(platform.settings, objects=None) as ports:  # type: ignore[arg-type]
        yield ports


async def penstock(platform: Platform, *words: str, told: str = "") -> str:
    """What a command of ours prints; `told` is its standard input."""
    process = await asyncio.create_subprocess_exec(
        *(Path(sys.executable).with_name("penstock"), *words),
        env=os.environ | {"PENSTOCK_URL": platform.settings.gateway_url},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = await process.communicate(told.encode())
    assert process.returncode == 0, err.decode()
    return out.decode() + err.decode()


async def declare(platform: Platform, name: str, secret: str, *options: str) -> str:
    """A source and its secret; the address of its deliveries."""
    said = await penstock(platform, "secret", "set", name, told=f"{secret}\n")
    said += await penstock(platform, "source", "declare", name, *options, "--wait")
    assert secret not in said
    return f"{platform.settings.gateway_url}/v1/webhooks/default/{name}"


async def received(ports: Ports, source: str) -> list[dict[str, Any]]:
    """The deliveries of a source in the log."""
    found = [
        json.loads(stored.payload)
        for stored in await ports.log.read("penstock.default.webhook.received.*")
    ]
    return [one for one in found if one["source"] == source]


async def post(url: str, content: Any, headers: Any) -> dict[str, Any]:
    async with httpx.AsyncClient() as client:
        answer = await client.post(url, content=content, headers=headers)
    assert answer.status_code == 202, answer.text
    receipt: dict[str, Any] = answer.json()
    return receipt


async def test_standard_webhooks(platform: Platform, ports: Ports) -> None:
    secret = f"whsec_{base64.b64encode(secrets.token_bytes(24)).decode()}"
    url = await declare(platform, "standard", secret, "--scheme", "standard")
    now, body = datetime.now(UTC), '{"type": "months.arrived"}'
    headers = {
        "content-type": "application/json",
        "webhook-id": "msg-1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign("msg-1", now, body),
    }
    receipts = [await post(url, body, headers) for _ in range(3)]
    assert [one["duplicate"] for one in receipts] == [False, True, True]
    assert len({one["id"] for one in receipts}) == 1
    (told,) = await received(ports, "standard")
    assert (told["delivery"], told["kind"]) == ("msg-1", "months.arrived")


async def test_cloudevents(platform: Platform, ports: Ports) -> None:
    url = await declare(platform, "ce", TOKEN, "--scheme", "cloudevents")
    token = {"authorization": f"Bearer {TOKEN}"}

    def event(id: str) -> CloudEvent:
        attributes = {
            "id": id,
            "source": "/airline/café",
            "type": "months.arrived",
            "specversion": "1.0",
            "datacontenttype": "application/json",
            "tenant": "a b",
        }
        return CloudEvent(attributes, {"months": [4, 5]})

    async def send(message: HTTPMessage) -> dict[str, Any]:
        return await post(url, message.body, message.headers | token)

    assert not (await send(to_binary_event(event("1"))))["duplicate"]
    assert not (await send(to_structured_event(event("2"))))["duplicate"]
    # The same event in the other mode is the same event.
    assert (await send(to_structured_event(event("1"))))["duplicate"]
    batch = b"[" + b",".join(to_structured_event(event(id)).body for id in "2313") + b"]"
    kind = {"content-type": "application/cloudevents-batch+json"}
    taken = await post(url, batch, token | kind)
    assert [one["duplicate"] for one in taken["events"]] == [True, False, True, False]
    assert taken["events"][1] == taken["events"][3]
    told = await received(ports, "ce")
    assert [one["delivery"] for one in told] == [f"/airline/café {id}" for id in "123"]
    assert {one["data"]["tenant"] for one in told} == {"a b"}
    assert all(one["data"]["data"] == {"months": [4, 5]} for one in told)


async def test_notifications_of_weed(platform: Platform, ports: Ports, tmp_path: Path) -> None:
    url = await declare(platform, "bucket", TOKEN, "--scheme", "s3")
    (tmp_path / "notification.toml").write_text(
        f'[notification.webhook]\nenabled = true\nendpoint = "{url}"\nbearer_token = "{TOKEN}"\n'
        'path_prefixes = ["/buckets/flights/"]\n'
    )
    async with weed(tmp_path) as filer:
        await put(f"{filer}/buckets/flights/2013-04.csv", b"late\n1\n")
        async with asyncio.timeout(WAIT_SECONDS):
            while not (told := await received(ports, "bucket")):  # noqa: ASYNC110 - as anyone reads
                await asyncio.sleep(POLL_SECONDS)
    assert {one["kind"] for one in told} <= {"create", "update"}
    assert told[0]["data"]["key"].startswith("/buckets/flights")


def commands() -> list[list[str]]:
    """The commands of the page that declare a source."""
    text = PAGE.replace("\\\n", " ")
    found = re.findall(r"penstock (source declare [a-z]+ --scheme [^`\n]+)", text)
    return [shlex.split(command.removesuffix(", then")) for command in found]


@pytest.mark.parametrize("words", commands(), ids=lambda words: words[2])
async def test_each_declaration_of_the_page_is_taken(platform: Platform, words: list[str]) -> None:
    wait = [] if "--wait" in words else ["--wait"]
    await penstock(platform, *words, *wait, "-n", "page")


async def test_the_page_declares_a_source_of_nearly_every_scheme() -> None:
    declared = {words[words.index("--scheme") + 1] for words in commands()}
    assert declared == SCHEMES.keys() - {"bearer"}


@pytest.mark.parametrize("name", ["airline", "events"])
async def test_the_python_of_the_page_delivers(platform: Platform, ports: Ports, name: str) -> None:
    scheme = {"airline": "standard", "events": "cloudevents"}[name]
    secret = f"whsec_{base64.b64encode(secrets.token_bytes(24)).decode()}"
    await declare(platform, name, secret, "--scheme", scheme)
    blocks = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    (code,) = (block for block in blocks if f"/default/{name}" in block)
    given = {"httpx": httpx, "url": platform.settings.gateway_url, "secret": secret}
    await asyncio.to_thread(exec, code, given)
    (told,) = await received(ports, name)
    assert told["kind"] == "months.arrived"


async def test_the_trigger_of_the_page_is_taken(platform: Platform, ports: Ports) -> None:
    (text,) = re.findall(r"```json\n(.*?)```", PAGE, flags=re.DOTALL)
    await penstock(platform, "event", "publish", "trigger.requested", text, "-n", "page")
    with Client(platform.settings.gateway_url, "page") as client:
        row = await asyncio.to_thread(client.trigger.get, "retrain")
    assert row["status"] == "active"
    assert not await ports.log.read("penstock.page.trigger.rejected.*")


@contextlib.asynccontextmanager
async def weed(folder: Path) -> AsyncIterator[str]:
    """A weed of its own with the configuration in `folder`; the address of its filer."""
    numbers = loopback.choose(3, offsets=(0, loopback.GRPC_OFFSET))
    roles = dict(zip(("master", "volume", "filer"), numbers, strict=True))
    with (folder / "weed.log").open("w") as log:
        process = await asyncio.create_subprocess_exec(
            *(binaries.find(binaries.WEED), "-logtostderr=true", "server", "-filer"),
            *("-dir=.", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false"),
            *(f"-{role}.port={port}" for role, port in roles.items()),
            cwd=folder,
            env={"HOME": str(folder), "TMPDIR": str(folder), "PATH": os.environ["PATH"]},
            stdout=log,
            stderr=log,
        )
    try:
        yield f"http://127.0.0.1:{roles['filer']}"
    finally:
        process.kill()
        await process.wait()
        for socket in grpc_sockets(roles):
            socket.unlink(missing_ok=True)


async def put(url: str, data: bytes) -> None:
    """Store a file, as soon as the server takes one."""
    async with httpx.AsyncClient() as client, asyncio.timeout(WAIT_SECONDS):
        while True:
            with contextlib.suppress(httpx.TransportError):
                if (await client.post(url, files={"file": data})).status_code == 201:
                    return
            await asyncio.sleep(POLL_SECONDS)
