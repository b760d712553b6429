"""Writing over HTTP: events, objects, webhooks, dead letters; durable, once, refused by field."""

import asyncio
from typing import Any

import httpx
import pytest

from penstock_chassis.digests import digest_of
from penstock_chassis.folders import parse_manifest
from penstock_chassis.message import read_recorded
from penstock_chassis.ports import Message
from penstock_gateway.http.parameters import JSON_BYTES_MAX

QUEUE = {"type": "queue.requested", "data": {"queue": "research", "gpu_quota": 2}}


async def test_a_wish_is_answered_once_it_is_in_the_log(api: Any) -> None:
    answer = await api.client.post("/v1/vision/event", json=QUEUE)
    assert answer.status_code == 202
    receipt = answer.json()
    event = await api.get(f"/v1/vision/event/{receipt['sequence']}")
    assert event["id"] == receipt["id"]
    assert event["data"]["gpu_quota"] == 2
    assert event["correlation_id"] == event["id"]
    assert receipt["duplicate"] is False


async def test_the_same_key_has_one_effect_for_ever(api: Any) -> None:
    headers = {"idempotency-key": "my key"}
    first = await api.client.post("/v1/vision/event", json=QUEUE, headers=headers)
    for _ in range(30):
        await api.client.post("/v1/vision/event", json=QUEUE)  # others, past any window of one
    again = await api.client.post("/v1/vision/event", json=QUEUE, headers=headers)
    assert (again.status_code, again.json()) == (202, first.json() | {"duplicate": True})
    other = {**QUEUE, "data": {"queue": "other"}}
    assert not (await api.client.post("/v1/vision/event", json=other, headers=headers)).json()[
        "duplicate"
    ]
    assert not (await api.client.post("/v1/audio/event", json=QUEUE, headers=headers)).json()[
        "duplicate"
    ]


async def test_the_same_key_at_the_same_time_has_one_effect(api: Any) -> None:
    headers = {"idempotency-key": "key"}
    answers = await asyncio.gather(
        *(api.client.post("/v1/vision/event", json=QUEUE, headers=headers) for _ in range(10))
    )
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["sequence"] for answer in answers}) == 1
    assert sum(not answer.json()["duplicate"] for answer in answers) == 1


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"data": {}}, 422, "type"),
        ({"type": 5, "data": {}}, 422, "type"),
        ({"type": "no.such", "data": {}}, 422, "type"),
        ({"type": "job.placed", "data": {}}, 403, "type"),
        ({"type": "webhook.received", "data": {}}, 403, "type"),
        ({"type": "queue.requested"}, 422, "data"),
        ({"type": "queue.requested", "data": []}, 422, "data"),
        ({"type": "queue.requested", "data": {}}, 422, "queue"),
        ({"type": "queue.requested", "data": {"queue": "a.b"}}, 422, "queue"),
        ({"type": "queue.requested", "data": {"queue": "*"}}, 422, "queue"),
        ({"type": "queue.requested", "data": {"queue": "a\nb"}}, 422, "queue"),
        ({"type": "queue.requested", "data": {"queue": "q", "gpu_quota": -1}}, 422, "gpu_quota"),
        ({"type": "queue.requested", "data": {"queue": "q", "gpus": 1}}, 422, "gpus"),
        ({"type": "queue.requested", "data": {"queue": "q"}, "id": "x"}, 422, "id"),
    ],
)
async def test_what_is_not_valid_is_refused_by_field(
    api: Any, problem: Any, body: Any, status: int, field: str
) -> None:
    problem(await api.client.post("/v1/vision/event", json=body), status, field)
    assert api.world.events.last == 0


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff", b'{"a": NaN}', b"[" * 5000])
async def test_what_is_no_json_object_is_refused(api: Any, problem: Any, body: bytes) -> None:
    headers = {"content-type": "application/json"}
    problem(await api.client.post("/v1/vision/event", content=body, headers=headers), 400)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_another_content_type_is_refused(api: Any, problem: Any, kind: str) -> None:
    headers = {"content-type": kind} if kind else {}
    answer = await api.client.post("/v1/vision/event", content=b"{}", headers=headers)
    problem(answer, 415, "content-type")


async def test_a_body_of_ten_megabytes_is_refused_unread(api: Any, problem: Any) -> None:
    headers = {"content-type": "application/json"}
    big = b" " * 10_000_000
    problem(await api.client.post("/v1/vision/event", content=big, headers=headers), 413)
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        while True:
            sent += 65536
            yield b" " * 65536

    answer = await api.client.post("/v1/vision/event", content=endless(), headers=headers)
    problem(answer, 413)
    assert sent <= JSON_BYTES_MAX + 3 * 65536


@pytest.mark.parametrize("namespace", ["-", "A", "a.b", "%3E", "*"])
async def test_only_one_proper_namespace_is_written(api: Any, problem: Any, namespace: str) -> None:
    problem(await api.client.post(f"/v1/{namespace}/event", json=QUEUE), 400, "namespace")
    problem(await api.client.post(f"/v1/{namespace}/object", content=b"x"), 400, "namespace")
    problem(await api.client.post(f"/v1/{namespace}/folder", json={}), 400, "namespace")


async def test_a_key_that_is_none_is_refused(api: Any, problem: Any) -> None:
    for key in ("", "x" * 256):
        headers = {"idempotency-key": key}
        answer = await api.client.post("/v1/vision/event", json=QUEUE, headers=headers)
        problem(answer, 400, "idempotency-key")


async def upload(api: Any, data: bytes, namespace: str = "vision") -> Any:
    answer = await api.client.post(f"/v1/{namespace}/object", content=data)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_an_object_comes_back_as_it_was_sent(api: Any) -> None:
    ref = await upload(api, b"hello")
    assert (ref["digest"], ref["size_bytes"], ref["kind"]) == (digest_of(b"hello"), 5, "file")
    answer = await api.client.get("/v1/vision/object", params=ref)
    assert (answer.status_code, answer.content) == (200, b"hello")
    assert list((api.settings.work_dir / "uploads").iterdir()) == []


async def test_an_object_of_another_namespace_is_not_there(api: Any, problem: Any) -> None:
    ref = await upload(api, b"secret", "audio")
    problem(await api.client.get("/v1/vision/object", params=ref), 404, "uri")
    forged = {**ref, "uri": ref["uri"].replace("/audio/", "/vision/../audio/")}
    problem(await api.client.get("/v1/vision/object", params=forged), 404, "uri")
    other = {**ref, "uri": ref["uri"].replace("/audio/", "/vision/")}
    problem(await api.client.get("/v1/vision/object", params=other), 404, "uri")
    problem(await api.client.get("/v1/vision/object", params={"uri": "x"}), 422, "uri")
    problem(await api.client.get("/v1/vision/object"), 422, "uri")


async def test_a_changed_object_is_never_handed_out(api: Any, problem: Any) -> None:
    ref = await upload(api, b"hello")
    api.world.objects[ref["uri"]] = b"hullo"
    problem(await api.client.get("/v1/vision/object", params=ref), 422, "uri")


async def test_an_object_that_is_too_large_leaves_nothing_behind(api: Any, problem: Any) -> None:
    problem(await api.client.post("/v1/vision/object", content=b"x" * 100_001), 413)

    async def pieces() -> Any:
        for _ in range(11):
            yield b"x" * 10_000

    problem(await api.client.post("/v1/vision/object", content=pieces()), 413)
    assert api.world.objects == {}
    assert list((api.settings.work_dir / "uploads").iterdir()) == []


async def test_a_folder_is_made_of_objects_that_are_there(api: Any) -> None:
    files = [
        {"path": f"sub/{n}.txt", "object": await upload(api, f"file {n}".encode())}
        for n in range(5)
    ]
    answer = await api.client.post("/v1/vision/folder", json={"files": files[::-1]})
    assert answer.status_code == 201, answer.text
    ref = answer.json()
    assert (ref["kind"], ref["size_bytes"]) == ("folder", 30)
    manifest = await api.client.get("/v1/vision/object", params=ref)
    assert [entry.path for entry in parse_manifest(manifest.content)] == [
        file["path"] for file in files
    ]
    again = await api.client.post("/v1/vision/folder", json={"files": files})
    assert again.json() == ref


async def test_a_folder_that_cannot_be_is_refused_by_field(api: Any, problem: Any) -> None:
    ref = await upload(api, b"x")
    gone = {**ref, "uri": ref["uri"][:-2] + "00", "digest": ref["digest"][:-2] + "00"}
    foreign = await upload(api, b"y", "audio")
    cases: list[tuple[Any, int, str]] = [
        ([], 422, "files"),
        ("x", 422, "files"),
        (["x"], 422, "files.0"),
        ([{"path": "a", "object": gone}], 404, "files.0.object"),
        ([{"path": "a", "object": foreign}], 404, "files.0.object.uri"),
        ([{"path": "a", "object": {}}], 422, "files.0.object.uri"),
        ([{"path": "a"}], 422, "files.0.object"),
        ([{"path": "../a", "object": ref}], 422, "files.0.path"),
        ([{"path": "/a", "object": ref}], 422, "files.0.path"),
        ([{"path": "a\x00", "object": ref}], 422, "files.0.path"),
        ([{"path": "a", "object": ref}, {"path": "a", "object": ref}], 422, "files.1.path"),
        ([{"path": "a", "object": ref}, {"path": "a/b", "object": ref}], 422, "files"),
        ([{"path": "a", "object": {**ref, "size_bytes": 7}}], 422, "files.0.object.size_bytes"),
    ]
    for files, status, field in cases:
        answer = await api.client.post("/v1/vision/folder", json={"files": files})
        problem(answer, status, field)


async def letter_of(api: Any) -> Any:
    items = await api.eventually("/v1/deadletter")
    assert len(items) == 1
    return items[0]


async def test_a_message_that_nobody_handles_can_be_looked_at_and_tried_again(api: Any) -> None:
    headers = {"ce-id": "first", "Nats-Msg-Id": "x", "Nats-Expected-Last-Sequence": "99"}
    api.world.append(Message("penstock.vision.odd.happened.x", b'{"a": 1}', headers, "1"))
    letter = await letter_of(api)
    assert (letter["service"], letter["sequence"]) == ("gateway-audit", 1)
    assert letter["payload"] == '{"a": 1}'
    assert "no event type 'odd.happened'" in letter["reason"]
    answer = await api.client.post(f"/v1/deadletter/{letter['position']}/retry")
    assert answer.status_code == 202, answer.text
    again = await api.ports.log.get(answer.json()["sequence"])
    assert (again.subject, again.payload) == ("penstock.vision.odd.happened.x", b'{"a": 1}')
    assert again.headers["ce-id"] == answer.json()["id"] != "first"
    assert again.headers["ce-causationid"] == "first"
    assert "Nats-Expected-Last-Sequence" not in again.headers
    second = await letter_of(api)
    assert second["sequence"] == again.sequence


async def test_a_retry_that_was_cut_short_does_not_append_twice(api: Any) -> None:
    api.world.append(Message("penstock.vision.odd.happened.x", b"{}", {}, "1"))
    letter = await letter_of(api)
    kept = dict(api.world.dead_letters)
    first = await api.client.post(f"/v1/deadletter/{letter['position']}/retry")
    api.world.dead_letters.clear()
    api.world.dead_letters.update(kept)  # as if the process had died before the drop
    again = await api.client.post(f"/v1/deadletter/{letter['position']}/retry")
    assert again.json() == first.json() | {"duplicate": True}
    assert len(api.world.stored(["penstock.vision.odd.>"])) == 2


async def test_a_retried_event_of_ours_is_readable(api: Any) -> None:
    await api.append("queue.requested")
    stored = await api.ports.log.get(1)
    from penstock_chassis.ports import DeadLetter

    await api.ports.dead_letters.put(
        DeadLetter(
            "scheduler", stored.subject, 1, "broke", 6, "trace", stored.payload, stored.headers
        )
    )
    letter = await letter_of(api)
    assert (letter["reason"], letter["traceback"]) == ("broke", "trace")
    answer = await api.client.post(f"/v1/deadletter/{letter['position']}/retry")
    event = read_recorded(await api.ports.log.get(answer.json()["sequence"]))
    assert event.causation_id == "event-1"
    assert event.correlation_id == "event-1"


async def test_a_dead_letter_is_dropped_and_then_gone(api: Any, problem: Any) -> None:
    api.world.append(Message("penstock.x", b"\xff", {}, "1"))
    letter = await letter_of(api)
    assert letter["payload"] is None
    path = f"/v1/deadletter/{letter['position']}"
    assert (await api.client.delete(path)).status_code == 200
    problem(await api.client.delete(path), 404)
    problem(await api.client.post(f"{path}/retry"), 404)
    problem(await api.client.delete("/v1/deadletter/x"), 400, "position")
    assert (await api.get("/v1/deadletter"))["items"] == []


async def test_a_trigger_turns_a_delivery_into_a_wish(api: Any, airline: int) -> None:
    trigger = {
        "trigger": "make-queue",
        "on": "webhook.received",
        "when": "event.source == 'airline' && event.data.months.exists(m, m == 4)",
        "do": {
            "type": "queue.requested",
            "data": {"queue": "months-${number}", "cpu_quota": "${size(event.data.months)}"},
        },
    }
    answer = await api.client.post(
        "/v1/vision/event", json={"type": "trigger.requested", "data": trigger}
    )
    assert answer.status_code == 202
    assert (await api.deliver("one", {"months": [4, 5, 6]})).status_code == 202
    assert (await api.deliver("two", {"months": [7]})).status_code == 202
    rows = await api.eventually("/v1/vision/queue")
    assert [row["id"] for row in rows] == ["months-1"]
    shown = await api.get("/v1/vision/trigger/make-queue")
    assert (shown["status"], shown["fired"]) == ("active", 1)
    event = (await api.get("/v1/vision/event", type="queue.requested"))["items"][0]
    assert event["data"]["cpu_quota"] == 3
    tree = await api.get(f"/v1/vision/event/{event['id']}/tree")
    assert tree["event"]["type"] == "webhook.received"


async def test_a_bus_that_does_not_answer_is_a_503(api: Any, airline: int, problem: Any) -> None:
    from penstock_chassis.testing import Faults

    api.ports.incarnation.faults = Faults(refuse_publish=1.0, answer_timeout_seconds=0.001)
    answer: httpx.Response = await api.deliver()
    assert problem(answer, 503)["hint"]
    assert answer.headers["retry-after"] == "1"
    api.ports.incarnation.faults = Faults()
    assert (await api.deliver()).status_code == 202
