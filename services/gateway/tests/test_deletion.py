"""A deleted trigger leaves nothing behind, and declared again it begins anew."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from penstock_gateway.domain.checkpoint import dump_checkpoint, load_checkpoint
from penstock_gateway.domain.trigger_book import Trigger
from penstock_schemas import (
    Concurrency,
    Cron,
    Debounce,
    TriggerDeleted,
    TriggerFired,
    TriggerFireRequested,
    TriggerPauseRequested,
    TriggerRejected,
    TriggerResumeRequested,
)

from .test_http_triggers import RETRAIN, declare, happen, judged
from .test_triggers import Log, webhook

PATH = "/v1/vision/trigger/retrain"
DELETED = TriggerDeleted(trigger="t", by="ada", reason="retired")


def left(log: Log) -> Trigger:
    return log.book.triggers["vision", "t"]


def test_a_deleted_trigger_judges_nothing_and_owes_nothing() -> None:
    log = Log()
    log.declare()
    log.append(webhook(1))
    assert left(log).timing.owed
    assert log.happen(DELETED) == []
    assert log.happen(webhook(2)) == []
    assert left(log) == Trigger(head=len(log.items) - 1)
    assert not log.book.owing
    assert not log.book.waiting


@pytest.mark.parametrize(
    "wish", [TriggerFireRequested, TriggerPauseRequested, TriggerResumeRequested]
)
def test_what_is_asked_of_a_deleted_trigger_is_refused(wish: Any) -> None:
    log = Log()
    log.declare()
    log.append(DELETED)
    (refusal,) = log.happen(wish(trigger="t"))
    assert isinstance(refusal.event, TriggerRejected)
    assert refusal.event.field == "trigger"


def test_what_was_gathered_is_dropped_with_the_trigger() -> None:
    log = Log()
    log.declare(debounce=Debounce(quiet_seconds=10))
    log.append(webhook(1))
    due = log.book.next_deadline()
    assert due is not None
    log.append(DELETED)
    assert log.book.next_deadline() is None
    log.folding.advance(due + timedelta(days=1))
    assert log.say() == []


def test_planned_times_end_with_the_trigger() -> None:
    log = Log()
    log.declare(on=(), cron=Cron(expression="* * * * *"), data={"queue": "q-${number}"})
    due = log.book.next_deadline()
    assert due is not None
    log.append(DELETED)
    log.folding.advance(due + timedelta(hours=1))
    assert log.say() == []
    assert log.book.next_deadline() is None


def test_a_run_that_the_trigger_waited_for_is_forgotten() -> None:
    log = Log()
    log.declare(
        do_type="job.requested",
        data={"job": "j-${number}", "program": {"command": ["x"]}},
        concurrency=Concurrency(policy="queue"),
    )
    log.happen(webhook(1))
    assert log.book.runs
    log.append(DELETED)
    assert not log.book.runs


def test_declared_again_a_trigger_begins_anew() -> None:
    log = Log()
    log.declare(cooldown_seconds=1_000_000)
    log.happen(webhook(1))
    assert log.happen(webhook(2)) == []
    log.append(DELETED)
    log.declare(cooldown_seconds=1_000_000)
    fired, produced = log.happen(webhook(3))
    assert isinstance(fired.event, TriggerFired)
    assert (fired.event.number, produced.event.id) == (1, "q-1")


def test_the_book_of_a_deleted_trigger_survives_a_checkpoint() -> None:
    log = Log()
    log.declare(debounce=Debounce(quiet_seconds=10))
    log.append(webhook(1))
    log.append(DELETED)
    assert load_checkpoint(dump_checkpoint(log.book)) == log.book


async def delete(api: Any, path: str = PATH, **headers: str) -> Any:
    made = {name.replace("_", "-"): value for name, value in headers.items()}
    return await api.client.delete(path, headers=made)


async def test_over_http_a_trigger_is_deleted_and_declared_anew(api: Any) -> None:
    await declare(api)
    await happen(api, 1)
    await judged(api)
    answer = await delete(api, f"{PATH}?reason=retired")
    assert answer.status_code == 202, answer.text
    await judged(api)
    row = await api.get(PATH)
    assert (row["status"], row["reason"], row["on"], row["fired"]) == (
        *("deleted", "retired"),
        *(None, None),
    )
    (stored,) = api.world.stored(["penstock.vision.trigger.deleted.retrain"])
    assert '"by":"local"' in stored.payload.decode()
    assert (await api.client.get(f"{PATH}/declaration")).status_code == 404
    await happen(api, 2)
    await judged(api)
    assert len(api.world.stored(["penstock.vision.trigger.fired.retrain"])) == 1
    # What stood before does not stand any more: the same declaration is a new one.
    again = await api.client.put(
        f"{PATH}/declaration", json=RETRAIN, headers={"if-none-match": "*"}
    )
    assert again.status_code == 202, again.text
    await judged(api)
    await happen(api, 3)
    await judged(api)
    row = await api.get(PATH)
    assert (row["status"], row["fired"], row["last_produced"]) == (
        *("active", 1),
        "queue.requested q-1",
    )


async def test_a_trigger_is_deleted_only_as_it_was_seen(api: Any, problem: Any) -> None:
    problem(await delete(api), 404)
    problem(await delete(api, if_match='"1"'), 412)
    await declare(api)
    first = (await api.get(f"{PATH}/declaration"))["sequence"]
    await declare(api, cooldown_seconds=5)
    seen = (await api.get(PATH))["sequence"]
    document = problem(await delete(api, if_match=f'"{first}"'), 412, "if-match")
    assert document["current_sequence"] == seen
    await happen(api, 1)
    await judged(api)  # that it fired meanwhile changes nothing of its declaration
    assert (await delete(api, if_match=f'"{seen}"')).status_code == 202
    problem(await delete(api), 404)


async def test_the_same_deletion_sent_again_has_one_effect(api: Any) -> None:
    await declare(api)
    first = await delete(api, idempotency_key="k")
    again = await delete(api, idempotency_key="k")
    assert (first.json()["duplicate"], again.json()["duplicate"]) == (False, True)
    assert first.json()["sequence"] == again.json()["sequence"]
    await declare(api)
    late = await delete(api, idempotency_key="k")
    assert late.json()["sequence"] == first.json()["sequence"]
    assert (await api.get(f"{PATH}/declaration"))["name"] == "retrain"


async def test_of_a_deletion_and_firings_at_once_none_is_lost(api: Any) -> None:
    await declare(api)
    numbers = range(20)
    wishes = [
        api.client.post(
            "/v1/vision/event", json={"type": "trigger.fire-requested", "data": {"trigger": name}}
        )
        for name in ["retrain"] * len(numbers)
    ]
    *answers, deleted = await asyncio.gather(*wishes, delete(api))
    assert {answer.status_code for answer in (*answers, deleted)} == {202}
    await judged(api)
    (stored,) = api.world.stored(["penstock.vision.trigger.deleted.retrain"])
    asked = api.world.stored(["penstock.vision.trigger.fire-requested.retrain"])
    before = [one for one in asked if one.sequence < stored.sequence]
    fired = api.world.stored(["penstock.vision.trigger.fired.retrain"])
    refused = api.world.stored(["penstock.vision.trigger.rejected.retrain"])
    assert all(one.sequence < stored.sequence for one in fired)
    assert len(refused) == len(asked) - len(before)


async def test_an_explanation_knows_a_trigger_that_was_deleted_since(api: Any) -> None:
    await declare(api)
    sequence = await happen(api, 1)
    await judged(api)
    await delete(api)
    await judged(api)
    found = await api.get("/v1/vision/trigger/explain", event=sequence)
    (item,) = found["items"]
    assert item["fired"]
    later = await happen(api, 2)
    assert (await api.get("/v1/vision/trigger/explain", event=later))["items"] == []
