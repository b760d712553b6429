"""Writes under a condition, and declarations: what nobody else has changed, and what changes."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

PATH = "/v1/vision/queue/research/declaration"
QUEUE = {"type": "queue.requested", "data": {"queue": "research", "gpu_quota": 2}}


async def put(api: Any, fields: Any, status: int = 202, **headers: str) -> Any:
    made = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = await api.client.put(PATH, json=fields, headers=made)
    assert answer.status_code == status, answer.text
    return answer


async def test_a_wish_is_refused_where_its_thing_has_changed(api: Any, problem: Any) -> None:
    first = await api.append("queue.requested", queue="research")
    last = await api.append("queue.configured", queue="research")
    stale = await api.client.post(
        "/v1/vision/event", json=QUEUE, headers={"if-match": f'"{first}"'}
    )
    document = problem(stale, 412, "if-match")
    assert document["current_sequence"] == last
    assert stale.headers["etag"] == f'"{last}"'
    assert api.world.events.last == last
    fresh = await api.client.post("/v1/vision/event", json=QUEUE, headers={"if-match": f'"{last}"'})
    assert fresh.status_code == 202


async def test_a_row_carries_the_tag_that_a_wish_is_conditional_on(api: Any, problem: Any) -> None:
    sequence = await api.append("queue.configured", queue="research")
    shown = await api.client.get("/v1/vision/queue/research")
    assert shown.headers["etag"] == f'"{sequence}"'
    headers = {"if-none-match": shown.headers["etag"]}
    same = await api.client.get("/v1/vision/queue/research", headers=headers)
    assert (same.status_code, same.content) == (304, b"")
    tagged = {"if-match": shown.headers["etag"]}
    assert (await api.client.post("/v1/vision/event", json=QUEUE, headers=tagged)).is_success
    problem(await api.client.post("/v1/vision/event", json=QUEUE, headers=tagged), 412)


async def test_of_many_writers_with_one_tag_one_gets_through(api: Any) -> None:
    sequence = await api.append("queue.configured", queue="research")
    answers = await asyncio.gather(
        *(
            api.client.post(
                "/v1/vision/event",
                json={**QUEUE, "data": {"queue": "research", "gpu_quota": quota}},
                headers={"if-match": f'"{sequence}"'},
            )
            for quota in range(10)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [202] + [412] * 9


@pytest.mark.parametrize(
    ("headers", "status", "field"),
    [
        ({"if-match": "*"}, 412, "if-match"),
        ({"if-match": '"7"'}, 412, "if-match"),
        ({"if-match": "W/x"}, 400, "if-match"),
        ({"if-none-match": '"7"'}, 400, "if-none-match"),
        ({"if-match": "*", "if-none-match": "*"}, 400, "if-none-match"),
    ],
)
async def test_conditions_on_what_is_not_there(
    api: Any, problem: Any, headers: Any, status: int, field: str
) -> None:
    answer = await api.client.post("/v1/vision/event", json=QUEUE, headers=headers)
    problem(answer, status, field)
    assert api.world.events.last == 0


async def test_a_thing_is_created_only_where_there_is_none(api: Any, problem: Any) -> None:
    headers = {"if-none-match": "*"}
    first = await api.client.post("/v1/vision/event", json=QUEUE, headers=headers)
    assert first.status_code == 202
    again = await api.client.post("/v1/vision/event", json=QUEUE, headers=headers)
    problem(again, 412, "if-none-match")


async def test_a_key_that_took_effect_is_answered_before_any_condition(api: Any) -> None:
    headers = {"if-none-match": "*", "idempotency-key": "k"}
    first = await api.client.post("/v1/vision/event", json=QUEUE, headers=headers)
    again = await api.client.post("/v1/vision/event", json=QUEUE, headers=headers)
    assert again.json() == first.json() | {"duplicate": True}


async def test_a_key_with_another_body_is_refused(api: Any, problem: Any) -> None:
    headers = {"idempotency-key": "k"}
    assert (await api.client.post("/v1/vision/event", json=QUEUE, headers=headers)).is_success
    other = {**QUEUE, "data": {"queue": "research", "gpu_quota": 3}}
    refused = await api.client.post("/v1/vision/event", json=other, headers=headers)
    problem(refused, 422, "idempotency-key")
    assert api.world.events.last == 1


async def test_of_two_bodies_at_once_under_one_key_one_is_refused(api: Any) -> None:
    answers = await asyncio.gather(
        *(
            api.client.post(
                "/v1/vision/event",
                json={**QUEUE, "data": {"queue": "research", "gpu_quota": quota}},
                headers={"idempotency-key": "k"},
            )
            for quota in range(5)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [202] + [422] * 4


async def test_a_mistyped_field_deep_inside_is_refused(api: Any, problem: Any) -> None:
    data = {"job": "j", "program": {"command": ["true"], "sorce": None}}
    answer = await api.client.post("/v1/vision/event", json={"type": "job.requested", "data": data})
    document = problem(answer, 422, "program.sorce")
    assert "source" in document["hint"]


async def test_what_is_declared_is_got_as_it_was_put(api: Any, problem: Any) -> None:
    problem(await api.client.get(PATH), 404, "id")
    made = await put(api, {"gpu_quota": 2})
    got = await api.client.get(PATH)
    assert got.headers["etag"] == made.headers["etag"]
    document = got.json()
    assert document["fields"] == {"cpu_quota": None, "gpu_quota": 2}
    same = await put(api, document["fields"], 200)
    assert same.json() == document
    assert api.world.events.last == 1


async def test_what_was_refused_is_not_declared(api: Any) -> None:
    await put(api, {"gpu_quota": 2})
    refused = (await put(api, {"gpu_quota": 9})).json()
    await api.append("queue.rejected", queue="research", request=refused["id"])
    assert (await api.get(PATH))["fields"]["gpu_quota"] == 2
    await put(api, {"gpu_quota": 9})  # it may be asked for again


async def test_a_declaration_is_changed_only_where_it_is_what_was_looked_at(
    api: Any, problem: Any
) -> None:
    first = await put(api, {"gpu_quota": 1}, if_none_match="*")
    tag = first.headers["etag"]
    await api.append("queue.configured", queue="research")  # not of the declaration
    await put(api, {"gpu_quota": 2}, if_match=tag)
    stale = await put(api, {"gpu_quota": 3}, 412, if_match=tag)
    assert problem(stale, 412, "if-match")["current_sequence"] == 3
    await put(api, {"gpu_quota": 2}, 200, if_match=tag)  # it is so already: nothing to refuse


async def test_a_declaration_is_shown_as_it_was(api: Any, problem: Any) -> None:
    await put(api, {"gpu_quota": 1})
    await put(api, {"gpu_quota": 2})
    first, _ = (await api.get("/v1/vision/event"))["items"]
    assert (await api.get(PATH, at=first["time"]))["fields"]["gpu_quota"] == 1
    before = api.ports.clock.now() - timedelta(days=1)
    problem(await api.client.get(PATH, params={"at": before.isoformat()}), 404, "id")


async def test_the_path_and_the_body_name_one_thing(api: Any, problem: Any) -> None:
    problem(await api.client.put(PATH, json={"queue": "other"}), 422, "queue")
    problem(await api.client.put("/v1/vision/job/j/declaration", json={}), 404, "noun")


async def test_a_thing_is_asked_for_by_its_noun(api: Any, problem: Any) -> None:
    body = {"program": {"command": ["true"]}}
    first = await api.client.post("/v1/vision/job", json=body, headers={"idempotency-key": "k"})
    again = await api.client.post("/v1/vision/job", json=body, headers={"idempotency-key": "k"})
    assert first.status_code == 202
    assert again.json() == first.json() | {"duplicate": True}
    await api.folded()
    assert (await api.get(first.headers["location"]))["status"] == "requested"
    other = await api.client.post("/v1/vision/job", json=body)
    assert other.json()["name"] != first.json()["name"]
    problem(await api.client.post("/v1/vision/node", json={}), 405)
