"""One singular word is the subject token, the URL segment, the CLI noun and the SDK attribute.

Each of the four is asked what it has, by use: subjects by an event of the noun, the URL by a
request to the gateway's application, the SDK and the command line by what they ask a gateway for.
A noun that one of them lacks fails here, and so does one that the contracts lack.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
from typer.core import TyperGroup

from penstock.cli.main import main, make_app
from penstock.client.aio.client import AsyncClient
from penstock.client.sync.client import Client
from penstock.testing import FakeGateway
from penstock_chassis.service import ServiceRunner
from penstock_chassis.testing import SimWorld
from penstock_gateway.app import build
from penstock_gateway.http.application import ROUTES
from penstock_gateway.settings import GatewaySettings
from penstock_gateway.testing import InProcessServer
from penstock_schemas import SYSTEM_NAMESPACE, event_types, parse_subject

NOUNS = sorted({cls.noun() for cls in event_types().values()})
EACH = pytest.mark.parametrize("noun", NOUNS)
TEAM = "vision"
START_SECONDS = 10.0
IN_SYSTEM = {"node", "plan"}
"""Nouns that belong to no team: the SDK looks for them in the system's namespace."""

# What is beside the nouns of the contracts, and why. Nothing else may be.
NOT_NOUNS_OF_THE_CLI = {
    "event": "the log itself",
    "deadletter": "messages of the log, of any noun, that no try could handle",
    "service": "processes of this machine; the log knows no services",
    "projection": "how far what is shown has come; no aggregate",
    **dict.fromkeys(("login", "logout", "whoami"), "who asks; not what there is"),
    **dict.fromkeys(("up", "down", "status", "doctor"), "the platform as a whole"),
    **dict.fromkeys(("apply", "get", "schema"), "documents of any kind"),
}
IN_THE_PLURAL = {"namespace": "namespaces"}
"""Of the SDK: `client.namespace` is where the client is."""
NOT_NOUNS_OF_THE_SDK = dict.fromkeys(("event", "deadletter", "projection"), "as in the CLI")
NOT_NOUNS_OF_THE_URL = {
    "event": "as in the CLI",
    "object": "bytes by their digest; never an aggregate",
    "folder": "likewise, several of them",
}


def nouns_of(client: object) -> set[str]:
    """The public attributes of a client that list things."""
    return {
        name
        for name, value in vars(client).items()
        if not name.startswith("_") and hasattr(value, "list")
    }


def commands() -> dict[str, Any]:
    made = typer.main.get_command(make_app())
    assert isinstance(made, TyperGroup)
    return dict(made.commands)


def namespace_of(noun: str) -> str:
    return SYSTEM_NAMESPACE if noun in IN_SYSTEM else TEAM


@EACH
def test_a_noun_is_one_token_of_a_subject(noun: str) -> None:
    types = [cls for cls in event_types().values() if cls.noun() == noun]
    for cls in types:
        event = cls.model_validate(cls.example)
        subject = parse_subject(str(event.subject(TEAM)))
        assert subject.noun == noun
        assert str(subject).split(".")[2] == noun
        assert re.fullmatch("[a-z]+", noun)


@EACH
async def test_a_noun_is_a_segment_of_the_url(noun: str, tmp_path: Path) -> None:
    async with gateway(tmp_path) as client:
        answer = await client.get(f"/v1/{TEAM}/{noun}")
        assert answer.status_code == 200, answer.text
        assert answer.json()["items"] == []
        missing = await client.get(f"/v1/{TEAM}/{noun}/nothing")
        assert missing.status_code == 404
        assert f"a {noun} 'nothing'" in missing.json()["detail"]


async def test_the_url_has_no_noun_that_the_contracts_lack(tmp_path: Path) -> None:
    second = {route.path.split("/")[3] for route in ROUTES if route.path.startswith("/v1/{")}
    assert second - set(NOUNS) - {"{noun}"} == NOT_NOUNS_OF_THE_URL.keys()
    async with gateway(tmp_path) as client:
        refused = await client.get(f"/v1/{TEAM}/nonsense")
    assert refused.status_code == 404
    offered = re.findall("[a-z]+", refused.json()["hint"].partition(":")[2])
    assert set(offered) == set(NOUNS) | {"event"}, refused.json()


@EACH
def test_a_noun_is_an_attribute_of_both_clients(noun: str) -> None:
    async def asked(fake: FakeGateway) -> None:
        client = AsyncClient(fake.url, TEAM)
        async for _ in getattr(client, IN_THE_PLURAL.get(noun, noun)).list():
            pass
        await client.close()

    with FakeGateway() as fake:
        asyncio.run(asked(fake))
        with Client(fake.url, TEAM) as client:
            getattr(client, IN_THE_PLURAL.get(noun, noun)).list().all()
        paths = [path.split("?")[0] for _, path, _, _ in fake.requests]
    assert paths == [f"/v1/{namespace_of(noun)}/{noun}"] * 2


def test_the_clients_have_no_noun_that_the_contracts_lack() -> None:
    words = {IN_THE_PLURAL.get(noun, noun) for noun in NOUNS}
    assert nouns_of(AsyncClient("http://x")) == words | NOT_NOUNS_OF_THE_SDK.keys()
    assert nouns_of(Client("http://x")) == nouns_of(AsyncClient("http://x"))


@EACH
def test_a_noun_is_a_word_of_the_command_line(
    noun: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    group = commands()[noun]
    assert isinstance(group, TyperGroup)
    assert {"ls", "show"} <= group.commands.keys()
    with FakeGateway() as fake:
        monkeypatch.setenv("PENSTOCK_URL", fake.url)
        with pytest.raises(SystemExit) as ended:
            main([noun, "ls", "-n", TEAM, "--json"])
        paths = [path.split("?")[0] for _, path, _, _ in fake.requests]
    assert not ended.value.code, capsys.readouterr().err
    assert paths == [f"/v1/{namespace_of(noun)}/{noun}"]


def test_the_command_line_has_no_noun_that_the_contracts_lack() -> None:
    assert set(commands()) == set(NOUNS) | NOT_NOUNS_OF_THE_CLI.keys()


@asynccontextmanager
async def gateway(work: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a gateway that runs on an empty world."""
    ports, server = SimWorld().ports("gateway"), InProcessServer()
    runner = ServiceRunner(build(GatewaySettings(work_dir=work), ports, server), ports)
    running = asyncio.create_task(runner.run())
    try:
        await asyncio.wait_for(server.serving.wait(), START_SECONDS)
        transport = httpx.ASGITransport(server.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield client
    finally:
        await runner.drain()
        await asyncio.wait_for(running, START_SECONDS)
