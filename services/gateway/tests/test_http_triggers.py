"""Triggers over HTTP: tried on one event, on the past, and explained."""

import asyncio
from typing import Any

import pytest

POLLS_MAX = 500
QUIET_POLLS = 5
DO = {"type": "queue.requested", "data": {"queue": "q-${number}"}}
RETRAIN = {"on": "webhook.received", "when": "event.source == 'airline'", "do": DO}


async def declare(api: Any, name: str = "retrain", **changes: Any) -> None:
    definition = {"trigger": name, **RETRAIN, **changes}
    await api.append("trigger.requested", **_whole(definition))
    await judged(api)


def _whole(definition: dict[str, Any]) -> dict[str, Any]:
    return {"at_most_every_seconds": None, **definition}


async def judged(api: Any) -> None:
    """Wait until the triggers have judged everything, and have nothing more to say."""
    still = 0
    for _ in range(POLLS_MAX):
        gateway = (await api.get("/v1/platform"))["services"]["gateway"]
        done = gateway["ready"] and gateway["position"] == api.world.events.last
        still = still + 1 if done else 0
        if still == QUIET_POLLS:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the triggers never caught up")


async def happen(api: Any, number: int, source: str = "airline") -> int:
    """A webhook; its sequence (the triggers may have answered it already)."""
    await api.append("webhook.received", webhook=f"w-{number}", source=source)
    (stored,) = api.world.stored([f"penstock.vision.webhook.*.w-{number}"])
    return int(stored.sequence)


async def post(api: Any, path: str, body: dict[str, Any]) -> Any:
    answer = await api.client.post(f"/v1/vision/trigger/{path}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_dry_run_shows_what_would_be_asked_for_and_appends_nothing(api: Any) -> None:
    sequence = await happen(api, 1)
    found = await post(api, "new/dry-run", {"event": sequence, "definition": RETRAIN})
    assert found["fires"] is True
    assert found["produces"]["type"] == "queue.requested"
    assert found["produces"]["id"] == "q-1"
    assert api.world.events.last == sequence
    made = {"type": "webhook.received"}
    other = {**RETRAIN, "when": "event.source == 'else'"}
    found = await post(api, "new/dry-run", {"event": made, "definition": other})
    assert (found["fires"], found["produces"]) == (False, None)
    assert "does not hold" in found["reason"]
    found = await post(api, "new/dry-run", {"event": {"type": "job.queued"}, "definition": RETRAIN})
    assert "waits for webhook.received" in found["reason"]


async def test_the_row_of_the_event_is_as_it_was_then(api: Any) -> None:
    first = await api.append("job.queued", job="j", reason="first")
    await api.append("job.queued", job="j", reason="second")
    definition = {"on": "job.queued", "when": "row.reason == 'first'", "do": DO}
    found = await post(api, "new/dry-run", {"event": first, "definition": definition})
    assert found["fires"] is True
    found = await post(api, "new/backtest", {"definition": definition})
    assert (found["events"], found["would_fire"]) == (2, 1)


async def test_a_backtest_lists_what_it_would_have_fired(api: Any) -> None:
    sequences = [await happen(api, number) for number in range(5)]
    await happen(api, 5, source="else")
    found = await post(api, "new/backtest", {"definition": RETRAIN})
    assert (found["events"], found["would_fire"], found["did_fire"]) == (6, 5, 0)
    assert found["difference"] == {"both": 0, "only_would": 5, "only_did": 0}
    assert [firing["cause_sequence"] for firing in found["firings"]] == sequences
    assert [f["produces"]["id"] for f in found["firings"]] == [f"q-{n}" for n in range(1, 6)]
    assert not any(firing["did_happen"] for firing in found["firings"])
    batched = {**RETRAIN, "batch": {"size": 2}}
    found = await post(api, "new/backtest", {"definition": batched})
    assert [(f["count"], f["cause_sequence"]) for f in found["firings"]] == [
        (2, sequences[1]),
        (2, sequences[3]),
    ]


async def test_a_backtest_is_compared_with_what_did_happen(api: Any) -> None:
    await happen(api, 0)  # before it was declared
    await declare(api)
    for number in range(1, 4):
        await happen(api, number)
        await judged(api)
    same = await post(api, "retrain/backtest", {})
    assert same["difference"] == {"both": 3, "only_would": 1, "only_did": 0}
    narrow = {**RETRAIN, "when": "event.webhook == 'w-0' || event.webhook == 'w-1'"}
    other = await post(api, "retrain/backtest", {"definition": narrow})
    assert other["difference"] == {"both": 1, "only_would": 1, "only_did": 2}
    assert [entry["number"] for entry in other["only_did"]] == [2, 3]
    assert [firing["did_happen"] for firing in other["firings"]] == [False, True]


async def test_each_trigger_says_why_it_did_or_did_not_fire(api: Any) -> None:
    await declare(api, "always")
    await declare(api, "never", when="event.source == 'else'")
    await declare(api, "others", on="job.queued")
    await declare(api, "seldom", cooldown_seconds=1000)
    await declare(api, "stopped", paused=True)
    await declare(api, "unfit", do={"type": "queue.requested", "data": {"queue": "Not A Name"}})
    await happen(api, 1)
    await judged(api)
    second = await happen(api, 2)
    await judged(api)
    await declare(api, "late")
    found = await api.get("/v1/vision/trigger/explain", event=second)
    said = {item["trigger"]: (item["fired"], "; ".join(item["why"])) for item in found["items"]}
    assert said["always"][0] is True
    assert "fired (number 2): queue.requested q-2" in said["always"][1]
    assert {name for name, (fired, _) in said.items() if fired} == {"always"}
    for name, word in (
        ("never", "`when` does not hold"),
        ("others", "it waits for job.queued, not webhook.received"),
        ("seldom", "cools down until"),
        ("stopped", "it was paused"),
        ("unfit", "refused: do.data.queue"),
        ("late", "it was declared later"),
    ):
        assert word in said[name][1], (name, said[name])


@pytest.mark.parametrize(
    ("path", "body", "status", "field"),
    [
        ("nobody/backtest", {}, 404, "id"),
        ("new/backtest", {"definition": {**RETRAIN, "when": "1 +"}}, 422, "when"),
        ("new/backtest", {"definition": {**RETRAIN, "wen": "x"}}, 422, "definition.wen"),
        ("new/backtest", {"definition": {**RETRAIN, "trigger": "x"}}, 422, "definition.trigger"),
        ("new/backtest", {"definition": {"on": "a.b"}}, 422, "definition.do"),
        ("new/backtest", {"definition": 3}, 422, "definition"),
        ("new/backtest", {"since": "tomorrow", "definition": RETRAIN}, 422, "since"),
        ("new/backtest", {"run_seconds": -1, "definition": RETRAIN}, 422, "run_seconds"),
        ("new/backtest", {"sice": "x"}, 422, "sice"),
        ("new/dry-run", {"definition": {**RETRAIN, "on": "no.such"}}, 422, "on"),
        ("new/dry-run", {"definition": RETRAIN, "event": {"type": "no.such"}}, 422, "event.type"),
        ("new/dry-run", {"definition": RETRAIN, "event": {}}, 422, "event"),
        ("new/dry-run", {"definition": RETRAIN, "event": 4711}, 404, "id"),
    ],
)
async def test_what_is_asked_badly_is_refused_by_field(
    api: Any, problem: Any, path: str, body: dict[str, Any], status: int, field: str
) -> None:
    answer = await api.client.post(f"/v1/vision/trigger/{path}", json=body)
    problem(answer, status, field)


async def test_an_explanation_names_its_event(api: Any, problem: Any) -> None:
    problem(await api.client.get("/v1/vision/trigger/explain"), 400, "event")
    problem(await api.client.get("/v1/vision/trigger/explain?event=99"), 404, "id")
