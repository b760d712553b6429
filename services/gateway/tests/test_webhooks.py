"""Webhooks over HTTP: durable, once for ever, all or none, and nothing told to strangers."""

import asyncio
import base64
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from penstock_chassis.embedded.files import write_private
from penstock_chassis.sealing import new_key, read_key_file
from penstock_chassis.secrets import SealedSecrets
from penstock_chassis.service import ServiceRunner
from penstock_chassis.testing import SimWorld
from penstock_gateway.adapters.memory_rows import MemoryRows
from penstock_gateway.app import build
from penstock_gateway.http.webhooks import EVENTS_MAX
from penstock_gateway.settings import GatewaySettings
from penstock_gateway.testing import InProcessServer, signed
from penstock_schemas.nouns.source import BODY_BYTES_MAX

OTHER = "whsec_b3RoZXItb3RoZXItb3RoZXItb3RoZXI="
BATCH = "application/cloudevents-batch+json"


async def declare(api: Any, name: str, scheme: str, secret: str, **more: Any) -> str:
    """A source and its secret; the path of its deliveries."""
    answer = await api.client.put(f"/v1/vision/secret/{name}", json={"value": secret})
    assert answer.status_code == 200, answer.text
    await api.append("source.configured", source=name, scheme=scheme, secrets=[name], **more)
    return f"/v1/webhooks/vision/{name}"


async def test_a_delivery_is_taken_once_for_ever(api: Any, airline: int) -> None:
    first = await api.deliver("msg-1", {"type": "months", "months": [4]})
    assert (first.status_code, first.json()["duplicate"]) == (202, False)
    for number in range(2, 30):
        assert (await api.deliver(f"msg-{number}")).status_code == 202
    again = await api.deliver("msg-1", {"other": "body"})
    assert (again.status_code, again.json()["duplicate"]) == (202, True)
    assert again.json()["id"] == first.json()["id"]
    await api.folded()
    rows = (await api.get("/v1/vision/webhook", delivery="msg-1"))["items"]
    assert len(rows) == 1
    assert (rows[0]["source"], rows[0]["kind"]) == ("airline", "months")
    assert rows[0]["data"] == {"type": "months", "months": [4]}


async def test_deliveries_at_the_same_time_are_taken_once(api: Any, airline: int) -> None:
    answers = await asyncio.gather(*(api.deliver("msg-1") for _ in range(10)))
    assert {answer.status_code for answer in answers} == {202}
    assert sum(not answer.json()["duplicate"] for answer in answers) == 1
    assert api.world.events.last == airline + 1


async def test_strangers_are_all_told_the_same(api: Any, airline: int, problem: Any) -> None:
    late = api.ports.clock.now() - timedelta(minutes=6)
    await api.append("source.configured", source="paused", paused=True)
    await api.append("source.configured", source="no-secret", secrets=["nothing"])
    before = api.world.events.last
    answers = [
        await api.deliver(sender="vision/unknown"),
        await api.deliver(sender="audio/airline"),
        await api.deliver(sender="vision/a.b"),
        await api.deliver(sender="vision/paused"),
        await api.deliver(sender="vision/no-secret"),
        await api.deliver(secret=OTHER),
        await api.deliver(secret=OTHER, now=late),
        await api.deliver(secret=OTHER, content_type="text/plain"),
        await api.deliver(secret=OTHER, document=float("nan")),
        await api.deliver(webhook_signature=""),
        await api.deliver(webhook_signature="v1"),
        await api.deliver(webhook_signature="v1,not base64"),
        await api.deliver(webhook_signature="v1a,AAAA"),
        await api.deliver(webhook_id="msg-2"),
        await api.deliver(webhook_timestamp="now"),
        await api.client.post("/v1/webhooks/vision/airline"),
    ]
    for answer in answers:
        problem(answer, 401)
    assert len({answer.content for answer in answers}) == 1
    assert len({tuple(answer.headers.items()) for answer in answers}) == 1
    assert api.world.events.last == before


async def test_a_sender_that_proved_itself_is_told_what_is_wrong(
    api: Any, airline: int, problem: Any
) -> None:
    late = api.ports.clock.now() - timedelta(minutes=6)
    assert "300 s" in problem(await api.deliver(now=late), 400)["detail"]
    problem(await api.deliver(content_type="text/plain"), 415)
    problem(await api.deliver(document=float("nan")), 400)
    assert "id" in problem(await api.deliver("x" * 257), 400)["detail"]
    nested: Any = 1
    for _ in range(900):
        nested = [nested]
    assert "nested" in problem(await api.deliver(document=nested), 400)["detail"]
    assert api.world.events.last == airline


@pytest.mark.parametrize("sender", ["vision/airline", "vision/unknown"])
async def test_what_is_too_large_or_compressed_is_refused_before_it_is_read(
    api: Any, airline: int, problem: Any, sender: str
) -> None:
    problem(await api.deliver(sender=sender, document="x" * BODY_BYTES_MAX), 413)
    problem(await api.deliver(sender=sender, content_encoding="gzip"), 415, "content-encoding")

    async def endless() -> Any:
        for _ in range(BODY_BYTES_MAX // 1000 + 2):
            yield b"x" * 1000
        raise AssertionError("read further than it may go")

    answer = await api.client.post(f"/v1/webhooks/{sender}", content=endless())
    problem(answer, 413)


async def test_a_source_may_have_a_lower_bound(api: Any, problem: Any) -> None:
    path = await declare(api, "small", "bearer", "tok", body_bytes_max=10)
    headers = {"authorization": "Bearer tok"}
    ok = await api.client.post(path, json=[1, 2, 3], headers=headers)
    assert ok.status_code == 202, ok.text
    problem(await api.client.post(path, json=[1] * 10, headers=headers), 413)


async def test_the_largest_delivery_fits_into_a_message(api: Any, airline: int) -> None:
    answer = await api.deliver(document="x" * (BODY_BYTES_MAX - 2))
    assert answer.status_code == 202, answer.text


async def test_a_secret_rotates_without_a_gap(api: Any, airline: int, problem: Any) -> None:
    problem(await api.deliver("msg-1", secret=OTHER), 401)
    await api.client.put("/v1/vision/secret/airline", json={"value": OTHER, "keep": True})
    assert (await api.deliver("msg-2", secret=OTHER)).status_code == 202
    assert (await api.deliver("msg-3")).status_code == 202
    await api.client.put("/v1/vision/secret/airline", json={"value": OTHER})
    assert (await api.deliver("msg-4", secret=OTHER)).status_code == 202
    problem(await api.deliver("msg-5"), 401)
    await api.client.delete("/v1/vision/secret/airline")
    problem(await api.deliver("msg-6", secret=OTHER), 401)


def cloud_event(id: str, **more: Any) -> dict[str, Any]:
    return {"specversion": "1.0", "id": id, "source": "/s", "type": "t", **more}


async def test_a_batch_becomes_its_new_events_all_or_none(api: Any, problem: Any) -> None:
    path = await declare(api, "ce", "cloudevents", "tok")
    headers = {"authorization": "Bearer tok", "content-type": BATCH}

    async def post(events: list[Any]) -> httpx.Response:
        answer: httpx.Response = await api.client.post(
            path, content=json.dumps(events), headers=headers
        )
        return answer

    first = await post([cloud_event("1", data=1), cloud_event("2", data=2)])
    assert [one["duplicate"] for one in first.json()["events"]] == [False, False]
    mixed = await post([cloud_event(id, data=id) for id in ("2", "3", "1", "4", "3")])
    assert [one["duplicate"] for one in mixed.json()["events"]] == [True, False, True, False, False]
    told = {one["id"]: one["sequence"] for one in first.json()["events"] + mixed.json()["events"]}
    assert len(told) == 4
    last = api.world.events.last
    assert sorted(told.values()) == list(range(last - 3, last + 1))
    problem(await post([cloud_event("5"), {"id": "6"}]), 400)
    problem(await post([]), 400)
    problem(await post([cloud_event(str(n)) for n in range(EVENTS_MAX + 1)]), 413)
    assert api.world.events.last == last
    full = await post([cloud_event(str(n)) for n in range(EVENTS_MAX)])
    assert full.status_code == 202, full.text
    await api.folded()
    items = (await api.get("/v1/vision/event", type="webhook.received", limit=1000))["items"]
    assert len({item["subject_id"] for item in items}) == len(items) == EVENTS_MAX


async def test_batches_that_overlap_at_the_same_time_are_taken_once(api: Any) -> None:
    path = await declare(api, "ce", "cloudevents", "tok")
    headers = {"authorization": "Bearer tok", "content-type": BATCH}
    answers = await asyncio.gather(
        *(
            api.client.post(
                path,
                content=json.dumps([cloud_event(str(n)) for n in range(at, at + 5)]),
                headers=headers,
            )
            for at in range(6)
        )
    )
    assert {answer.status_code for answer in answers} == {202}
    await api.folded()
    items = (await api.get("/v1/vision/event", type="webhook.received"))["items"]
    assert {item["data"]["delivery"] for item in items} == {f"/s {n}" for n in range(10)}
    assert len(items) == 10


async def test_a_declaration_is_answered_once_and_says_what_is_wrong(api: Any) -> None:
    async def ask(**wish: Any) -> None:
        answer = await api.client.post(
            "/v1/vision/event",
            json={"type": "source.requested", "data": {"secrets": ["k"], **wish}},
        )
        assert answer.status_code == 202, answer.text

    await ask(source="a", scheme="github")
    await ask(source="b", scheme="airmail")
    await ask(source="c", scheme="github", options={"header": "x"})
    await ask(source="d", scheme="hmac")
    await ask(source="e", scheme="hmac", options={"header": "x", "signed": "{timestamp}{body}"})
    await ask(source="f", scheme="hmac", options={"header": "x", "timestamp_header": "t"})
    await ask(source="g", scheme="hmac", options={"header": "x", "signed": "nothing"})
    await ask(source="h", scheme="hmac", options={"header": "x", "signed": "{id}{body}"})
    await ask(source="a", scheme="airmail")
    await api.eventually("/v1/vision/source", status="configured")
    for _ in range(200):
        rejected = (await api.get("/v1/vision/event", type="source.rejected"))["items"]
        if len(rejected) == 8:
            break
        await asyncio.sleep(0.01)
    fields = {item["data"]["source"]: item["data"]["field"] for item in rejected}
    assert fields == {
        "a": "scheme",
        "b": "scheme",
        "c": "options.header",
        "d": "options.header",
        "e": "options.timestamp_header",
        "f": "options.timestamp_header",
        "g": "options.signed",
        "h": "options.id_from",
    }
    await api.folded()
    kept = await api.get("/v1/vision/source/a")
    assert (kept["status"], kept["scheme"], bool(kept["reason"])) == ("configured", "github", True)


async def test_secrets_are_written_and_nowhere_read(api: Any, problem: Any) -> None:
    value = "hush-hush-hush"
    path = "/v1/vision/secret/key"
    answers = [
        await api.client.put(path, json={"value": value}),
        await api.client.put(path, json={"value": value + "2", "keep": True}),
        await api.client.put(path, json={"value": value, "keep": value}),
        await api.client.put(path, json={"value": value, value: 1}),
        await api.client.put(path, content=f'{{"value": "{value}'.encode(),
                             headers={"content-type": "application/json"}),
    ]  # fmt: skip
    await api.folded()
    answers += [
        await api.client.get(path),
        await api.client.get("/v1/vision/secret"),
        await api.client.get("/v1/vision/event"),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 422, 422, 400, 200, 200, 200]
    for answer in answers:
        assert "hush" not in answer.text.replace(f'"field":"{value}"', "")
    stored = repr(api.world.stored()) + repr(api.world.buckets)
    assert "hush" not in stored
    assert base64.b64encode(value.encode()).decode() not in stored
    row = await api.get(path)
    assert (row["status"], row["values"], row["by"]) == ("rotating", 2, "local")
    assert row["fingerprint"] == answers[1].json()["fingerprint"]
    assert row["fingerprint"] != answers[0].json()["fingerprint"]
    assert (await api.client.delete(path)).status_code == 200
    problem(await api.client.delete(path), 404, "id")
    await api.folded()
    gone = await api.get(path)
    assert (gone["status"], gone["values"], gone["fingerprint"]) == ("deleted", 0, None)
    for body in ({}, {"value": ""}, {"value": 7}, {"value": "x" * 20_000}):
        problem(await api.client.put(path, json=body), 422, "value")
    problem(await api.client.put("/v1/vision/secret/A", json={"value": "x"}), 400, "id")
    problem(await api.client.put("/v1/-/secret/a", json={"value": "x"}), 400, "namespace")


async def test_the_same_change_sent_again_is_one_change(api: Any) -> None:
    path, key = "/v1/vision/secret/key", {"idempotency-key": "once"}
    for _ in range(3):
        answer = await api.client.put(path, json={"value": "v", "keep": True}, headers=key)
        assert answer.json()["values"] == 1
    await api.folded()
    items = (await api.get("/v1/vision/event", type="secret.set"))["items"]
    assert len(items) == 1


async def test_changes_at_the_same_time_are_all_told(api: Any) -> None:
    answers = await asyncio.gather(
        *(api.client.put("/v1/vision/secret/key", json={"value": f"v{n}"}) for n in range(4))
    )
    done = sum(answer.status_code == 200 for answer in answers)
    assert done >= 1
    assert {answer.status_code for answer in answers} <= {200, 409}
    await api.folded()
    items = (await api.get("/v1/vision/event", type="secret.set"))["items"]
    assert len(items) == done


async def test_other_spellings_of_a_repeated_header_do_not_open(
    api: Any, airline: int, problem: Any
) -> None:
    body, made = signed(OTHER, "msg-1", {}, api.ports.clock.now())
    good = signed("whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ=", "msg-9", {}, api.ports.clock.now())[1]
    headers = [*made.items(), ("webhook-id", good["webhook-id"]), ("Webhook-Signature", "v1,x")]
    answer = await api.client.post("/v1/webhooks/vision/airline", content=body, headers=headers)
    problem(answer, 401)


async def test_a_change_that_a_gateway_died_over_is_told_by_the_next(tmp_path: Path) -> None:
    world, key_file = SimWorld(), tmp_path / "secrets.key"
    write_private(key_file, new_key())
    dead = SealedSecrets(world.ports("dead").kv, read_key_file(key_file))
    change = await dead.set("vision", "key", "hush", id="change-1", by="me")
    ports, server = world.ports("gateway"), InProcessServer()
    settings = GatewaySettings(work_dir=tmp_path, secrets_key_file=key_file)
    runner = ServiceRunner(build(settings, ports, server, MemoryRows()), ports)
    running = asyncio.create_task(runner.run())
    async with asyncio.timeout(10):
        async for stored in ports.log.follow(["penstock.vision.secret.*.*"]):
            told = json.loads(stored.payload)
            break
    assert told == {
        "secret": "key",
        "fingerprint": change.fingerprint,
        "values": 1,
        "by": "me",
    }
    async with asyncio.timeout(10):
        while await dead.untold():  # noqa: ASYNC110 - the store tells nobody
            await asyncio.sleep(0)
    await runner.drain()
    await running
    assert [stored.headers["ce-id"] for stored in world.stored()] == ["change-1"]
