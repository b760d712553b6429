"""What a trigger sends, its declarer could have sent: at its declaration and at its firing."""

import asyncio
from contextlib import aclosing
from typing import Any

import httpx
import pytest

from penstock_schemas import (
    TriggerFired,
    TriggerFireRequested,
    TriggerRejected,
    TriggerRequested,
    role_to_send,
)

from .test_access import ADMIN, MINE, Guarded, guarded
from .test_http_triggers import POLLS_MAX
from .test_triggers import Log, trigger, webhook

__all__ = ["guarded"]

FOREIGN = {"uri": "s3://penstock/audio/blake3/aa", "digest": "blake3:" + "aa" * 32, "size_bytes": 1}
OWN = {**FOREIGN, "uri": "s3://penstock/vision/blake3/aa"}
QUEUE = {"type": "queue.requested", "data": {"queue": "q-${number}"}}


def job(source: Any) -> dict[str, Any]:
    """What a trigger does that asks for a job with this program."""
    program = {"command": ["{python}"], "source": source}
    return {"type": "job.requested", "data": {"job": "j-${number}", "program": program}}


def nested(do: Any, **changes: Any) -> dict[str, Any]:
    """What a trigger does that declares another."""
    data = {"trigger": "inner-${number}", "on": "webhook.received", "do": do, **changes}
    return {"type": "trigger.requested", "data": data}


def made(do: dict[str, Any], name: str = "t", **changes: Any) -> TriggerRequested:
    values = {"trigger": name, "on": "webhook.received", "do": do, **changes}
    return TriggerRequested.model_validate(values)


@pytest.mark.parametrize(
    ("do", "role"),
    [
        (job(OWN), "editor"),
        (QUEUE, "admin"),
        (nested(job(OWN)), "editor"),
        (nested(QUEUE), "admin"),
        (nested(nested(QUEUE)), "admin"),
        (nested("${event.data}"), "editor"),
        (nested({"type": "${event.kind}", "data": {}}), "editor"),
        ({"type": "trigger.fire-requested", "data": {"trigger": "t"}}, "editor"),
        ({"type": "trigger.fire-requested", "data": {"trigger": "t", "by_admin": True}}, "admin"),
        (
            {"type": "trigger.fire-requested", "data": {"trigger": "t", "by_admin": "${1==1}"}},
            "admin",
        ),
    ],
)
def test_to_declare_a_trigger_takes_what_sending_its_wish_takes(do: Any, role: str) -> None:
    assert role_to_send(made(do)) == role


@pytest.mark.parametrize(
    "uri",
    ["s3://penstock/audio/blake3/aa", "s3://penstock/audio/${event.source}", "s3://penstock/x"],
)
def test_a_trigger_that_names_an_object_of_another_namespace_is_refused(uri: str) -> None:
    log = Log()
    log.append(made(job({**FOREIGN, "uri": uri})))
    (refusal,) = log.say()
    assert isinstance(refusal.event, TriggerRejected)
    assert refusal.event.field == "do.data.program.source.uri"
    assert "vision" in refusal.event.fix
    log.append(made(nested(job(FOREIGN))))
    (refusal,) = log.say()
    assert refusal.event.field == "do.data.do.data.program.source.uri"
    assert log.book.triggers["vision", "t"].declared is None
    log.append(made(job(OWN)))
    assert log.say() == []


@pytest.mark.parametrize(
    ("do", "data", "field"),
    [
        (job("${event.data.ref}"), {"ref": FOREIGN}, "do.data.program.source.uri"),
        (
            job({**OWN, "uri": "${event.data.uri}"}),
            {"uri": FOREIGN["uri"]},
            "do.data.program.source.uri",
        ),
        (
            job({**OWN, "uri": "s3://penstock/vision/${event.data.up}"}),
            {"up": "../audio/a"},
            "do.data.program.source.uri",
        ),
        (nested("${event.data.do}"), {"do": QUEUE}, "do.data.do.type"),
        (
            nested({"type": "${event.data.type}", "data": QUEUE["data"]}),
            {"type": "queue.requested"},
            "do.data.do.type",
        ),
        (nested("${event.data.do}"), {"do": nested(QUEUE)}, "do.data.do.type"),
        (nested("${event.data.do}"), {"do": job(FOREIGN)}, "do.data.do.data.program.source.uri"),
        (job({**OWN, "more": "${event.data.cpus}"}), {}, "do.data.program.source.more"),
    ],
)
def test_what_a_template_computes_is_judged_as_if_its_declarer_had_sent_it(
    do: dict[str, Any], data: dict[str, Any], field: str
) -> None:
    log = Log()
    log.append(made(do))
    log.append(made({"type": "job.cancel-requested", "data": {"job": "other"}}, "beside"))
    assert log.say() == []
    cause = log.append(webhook(1, **data))
    said = [item.event for item in log.say()]
    (refusal,) = [event for event in said if isinstance(event, TriggerRejected)]
    assert (refusal.trigger, refusal.field, refusal.request) == ("t", field, cause.id)
    assert [event.trigger for event in said if isinstance(event, TriggerFired)] == ["beside"]
    assert log.say() == []


def test_a_trigger_of_an_admin_may_set_up_what_only_an_admin_may() -> None:
    log = Log()
    log.append(made(nested(QUEUE)))
    fired, produced = log.happen(webhook())
    assert isinstance(fired.event, TriggerFired)
    assert role_to_send(produced.event) == "admin"


def test_by_hand_a_trigger_of_an_admin_is_fired_by_admins_alone() -> None:
    log = Log()
    log.append(trigger(data={"queue": "${event.name}"}))
    data = {"name": "mine"}
    (refusal,) = log.happen(TriggerFireRequested(trigger="t", data=data))
    assert isinstance(refusal.event, TriggerRejected)
    assert refusal.event.field == "by_admin"
    _, produced = log.happen(TriggerFireRequested(trigger="t", data=data, by_admin=True))
    assert produced.event.id == "mine"


def test_a_trigger_does_not_fire_one_of_an_admin() -> None:
    log = Log()
    log.append(trigger(on="job.failed"))
    fire = {"trigger": "t", "data": "${event.data}"}
    log.append(made({"type": "trigger.fire-requested", "data": fire}, "editors"))
    assert log.happen(webhook())[0].type == "trigger.fired"
    (refusal,) = log.say()
    assert (refusal.type, refusal.event.id) == ("trigger.rejected", "t")


def declared(do: dict[str, Any], name: str = "t") -> dict[str, Any]:
    return {
        "type": "trigger.requested",
        "data": {"trigger": name, "on": "webhook.received", "do": do},
    }


async def post(guarded: Guarded, token: str, body: dict[str, Any]) -> httpx.Response:
    return await guarded.ask(token, "POST", f"/v1/{MINE}/event", json=body)


async def test_over_http_an_editor_declares_only_what_an_editor_may_send(
    guarded: Guarded, problem: Any
) -> None:
    editor = await guarded.enter("editor")
    for do in (QUEUE, nested(QUEUE), nested(nested(QUEUE))):
        problem(await post(guarded, editor, declared(do)), 403)
        path = f"/v1/{MINE}/trigger/t/declaration"
        fields = {"on": "webhook.received", "do": do}
        problem(await guarded.ask(editor, "PUT", path, json=fields), 403)
    answer = await post(guarded, editor, declared(job(FOREIGN)))
    problem(answer, 422, "do.data.program.source.uri")
    assert (await post(guarded, editor, declared(job(OWN)))).status_code == 202


async def test_over_http_what_a_template_computes_is_refused_and_explained(
    guarded: Guarded,
) -> None:
    editor = await guarded.enter("editor")
    for name, do in (("t", nested("${event.data.do}")), ("foreign", job("${event.data.ref}"))):
        assert (await post(guarded, editor, declared(do, name))).status_code == 202
    cause = await guarded.append("webhook.received", MINE, data={"do": QUEUE, "ref": FOREIGN})
    filters = [f"penstock.{MINE}.trigger.rejected.>"]
    refused: dict[str, str] = {}
    async with aclosing(guarded.ports.log.follow(filters)) as messages:  # type: ignore[type-var]
        async for stored in messages:
            refused[stored.subject.rpartition(".")[2]] = stored.payload.decode()
            if len(refused) == 2:
                break
    assert "takes an admin" in refused["t"]
    assert "no object of vision" in refused["foreign"]
    assert await guarded.ports.log.head([f"penstock.{MINE}.trigger.fired.>"]) == 0
    assert await guarded.ports.log.head([f"penstock.{MINE}.job.>"]) == 0
    path = f"/v1/{MINE}/trigger/explain?event={cause}"
    why = {item["trigger"]: item for item in await guarded.rows(editor, path)}
    assert not why["t"]["fired"]
    assert "takes an admin" in str(why["t"]["why"])
    assert "no object of vision" in str(why["foreign"]["why"])


@pytest.mark.parametrize(("role", "outcome"), [("editor", "rejected"), ("admin", "fired")])
async def test_over_http_the_api_says_whether_an_admin_fires(
    guarded: Guarded, problem: Any, role: str, outcome: str
) -> None:
    assert (await post(guarded, ADMIN, declared(QUEUE))).status_code == 202
    token = await guarded.enter(role)
    fire = {"type": "trigger.fire-requested", "data": {"trigger": "t"}}
    assert (await post(guarded, token, fire)).status_code == 202
    filters = [f"penstock.{MINE}.trigger.{verb}.t" for verb in ("fired", "rejected")]
    async with aclosing(guarded.ports.log.follow(filters)) as messages:  # type: ignore[type-var]
        async for stored in messages:
            assert stored.subject == f"penstock.{MINE}.trigger.{outcome}.t"
            break
    if role == "editor":
        claim = {"trigger": "t", "by_admin": True}
        problem(await post(guarded, token, {**fire, "data": claim}), 403)


async def test_a_fact_that_names_an_object_of_another_namespace_is_nowhere(
    guarded: Guarded,
) -> None:
    """It came over the bus, past the API: it is a dead letter, and no row, and fires nothing."""
    viewer = await guarded.enter("viewer")
    waits = declared(job("${event.manifest}"))
    waits["data"] |= {"on": "dataset.registered", "when": "event.dataset == 'foreign'"}
    assert (await post(guarded, ADMIN, waits)).status_code == 202
    await guarded.append("dataset.registered", MINE, dataset="foreign", manifest=FOREIGN)
    await guarded.append("dataset.registered", MINE, dataset="own", manifest=OWN)
    for _ in range(POLLS_MAX):  # rows follow the log; those of the later event are there last
        rows = await guarded.rows(viewer, f"/v1/{MINE}/dataset")
        if any(row["id"] == "own" for row in rows):
            break
        await asyncio.sleep(0.01)
    assert [row["id"] for row in rows] == ["own"]
    assert await guarded.ports.log.head([f"penstock.{MINE}.trigger.fired.>"]) == 0
