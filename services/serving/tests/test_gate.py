"""Who may ask an endpoint, over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from penstock_chassis.accounts import Bearers, Unauthenticated
from penstock_chassis.accounts.bearer import Claims
from penstock_chassis.adapters.access import account_fold
from penstock_chassis.message import Draft, to_message
from penstock_chassis.ports import StoredMessage
from penstock_schemas import Event, MemberAdded, TokenIssued, TokenRevoked
from penstock_schemas.tokens import hash_of, make_token
from penstock_serving.adapters.front import InferenceFront
from penstock_serving.adapters.gate import Gate
from penstock_serving.oip import InferRequest
from penstock_serving.ports import EndpointKey, RevisionSpec
from penstock_serving.settings import ServingSettings
from penstock_serving.testing import CONTRACT_SIGNATURE, FakeModel, FakeModelHost
from penstock_serving.testing.http_client import HttpClient, encode_post

TEAM, OTHER = "team", "other"
NOW = datetime.now(UTC)


class Clock:
    """The present."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class Issuer:
    """Another issuer's tokens: one is good, after a while."""

    async def verify(self, token: str) -> Claims:
        await asyncio.sleep(0)
        if token != "good":
            raise Unauthenticated("not of this issuer")
        return Claims("user-ada", frozenset({"ml"}), NOW + timedelta(hours=1))


@pytest.fixture
async def gate() -> Gate:
    return Gate(
        Bearers(
            account_fold(),
            Clock(),
            open=False,
            external=Issuer(),
            claim_roles={"ml": {TEAM: "viewer"}},
        )
    )


def fold_of(gate: Gate) -> Any:
    return gate._bearers._fold


def say(gate: Gate, event: Event, namespace: str) -> None:
    fold = fold_of(gate)
    id = f"event-{fold.position}"
    message = to_message(Draft(event, namespace), source="test", cause=None, id=id, now=NOW)
    fold.apply(
        StoredMessage(message.subject, message.payload, message.headers, fold.position + 1, NOW)
    )


@pytest.fixture
async def client(gate: Gate) -> AsyncIterator[HttpClient]:
    def doubled(request: InferRequest) -> list[list[float]]:
        return [[value * 2 for value in request.columns[0]]]

    host = FakeModelHost(lambda _: FakeModel(CONTRACT_SIGNATURE, doubled))
    for namespace in (TEAM, OTHER):
        spec = RevisionSpec(namespace, "delays", 1, "delay", "v1", Path("model"))
        await host.start(spec)
        await host.route(EndpointKey(namespace, "delays"), spec.revision_id)
    front = InferenceFront(host, gate=gate)
    await front.listen()
    made = await HttpClient.connect(front.base_url(EndpointKey(TEAM, "delays")))
    yield made
    await made.close()
    await front.close(drain_seconds=0.0)


def enter(gate: Gate, role: str, namespace: str = TEAM) -> str:
    token = make_token()
    say(gate, MemberAdded(member=f"{role}-1", role=role), namespace)
    say(
        gate,
        TokenIssued(
            token=f"token-{role}",
            account=f"{role}-1",
            role=role,
            hash=hash_of(token),
            expires_at=NOW + timedelta(hours=1),
        ),
        namespace,
    )
    return token


async def status(client: HttpClient, namespace: str, token: str | None) -> int:
    line = b"" if token is None else f"Authorization: Bearer {token}\r\n".encode()
    tensor = {"name": "x", "datatype": "FP64", "shape": [1], "data": [2.0]}
    path = f"/{namespace}/delays/v2/models/delays/infer"
    await client.send(encode_post(path, {"inputs": [tensor]}).replace(b"Host", line + b"Host", 1))
    found = await client.read()
    await client.send(
        b"GET /%s/delays/v2 HTTP/1.1\r\n%sHost: test\r\n\r\n" % (namespace.encode(), line)
    )
    described = await client.read()
    assert described.status == found.status
    return found.status


async def test_nobody_asks_without_a_token(client: HttpClient) -> None:
    assert await status(client, TEAM, None) == 401
    assert await status(client, TEAM, "bad") == 401
    assert await status(client, TEAM, make_token()) == 401


@pytest.mark.parametrize("role", ["viewer", "editor", "admin"])
async def test_a_role_opens_the_endpoints_of_its_namespace_alone(
    gate: Gate, client: HttpClient, role: str
) -> None:
    token = enter(gate, role)
    assert await status(client, TEAM, token) == 200
    assert await status(client, OTHER, token) == 404
    assert await status(client, "never-was", token) == 404
    say(gate, TokenRevoked(token=f"token-{role}"), TEAM)
    assert await status(client, TEAM, token) == 401


async def test_a_token_of_another_issuer_is_good_where_its_claims_say(client: HttpClient) -> None:
    for _ in range(2):  # at first, and from what is known then
        assert await status(client, TEAM, "good") == 200
        assert await status(client, OTHER, "good") == 404


def test_an_address_that_others_reach_needs_people_to_say_who_they_are() -> None:
    with pytest.raises(ValidationError, match="PENSTOCK_AUTH=tokens"):
        ServingSettings(host="0.0.0.0")
    known = ServingSettings(host="0.0.0.0", auth="tokens", admin_token_hash="ab" * 32)
    assert known.auth == "tokens"
