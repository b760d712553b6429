"""A backtest with the sieve finds what it finds without."""

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from penstock_chassis.message import Draft, to_message
from penstock_chassis.testing import SimWorld
from penstock_gateway.adapters.cel import compile_cel
from penstock_gateway.handlers.backtest import Backtest, Stretch
from penstock_gateway.handlers.sifting import Sieve
from penstock_gateway.nouns import VIEWS
from penstock_schemas import TriggerRequested, event_types

WHENS = [
    *("true", "false", "meta.sequence % 3 == 0", "meta.type == 'job.queued'", "event.job == 'j'"),
    *("meta.id == 'event-7'", "meta.time > '2020'", "number == 1", "has(event.reason)"),
    *(
        "event.attempt > 0",
        "event.nothing == 1",
        "event.reason == 1",
        "1 / 0 == 1",
        "row.id == 'j'",
    ),
    *("event.cpus == 4.0", "event['queue'] == 'q'", "event", "size(event) > 3", "event.job > 3"),
]
RULES: list[tuple[str, dict[str, Any]]] = [
    ("*.*", {"debounce": {"quiet_seconds": 1}}),
    ("job.*", {"concurrency": {"policy": "queue"}}),
    ("trigger.*", {}),
]
BROKEN = [
    ("penstock.vision.job.queued.j", b"no json", {}),
    ("penstock.vision.job.queued.j", b'{"job": "another", "queue": "q", "reason": "r"}', {}),
    ("penstock.vision.job.queued.j", b'{"job": "j", "queue": "q", "reason": "r"}', {}),
    (
        "penstock.vision.job.queued.j",
        b'{"job": "j", "queue": "q", "reason": "r"}',
        {"ce-type": "job.failed"},
    ),
    (
        "penstock.vision.job.queued.j",
        b'{"job": "j", "queue": "q", "reason": "r"}',
        {"ce-dataschema": "urn:penstock:schema:job.queued:9"},
    ),
    ("penstock.vision.node.registered.n", b'{"node": "n", "cpus": 4}', {"ce-id": "a%20b"}),
    ("penstock.vision.no-such.thing.j", b"{}", {}),
]


async def recorded(world: SimWorld) -> Any:
    ports = world.ports("gateway")
    count = 0
    for contract in event_types().values():
        for _ in range(2):
            count += 1
            event = contract.model_validate(contract.example)
            message = to_message(
                Draft(event, "vision"),
                source="test",
                cause=None,
                id=f"event-{count}",
                now=ports.clock.now(),
            )
            await ports.log.append([message])
    for subject, payload, headers in BROKEN:
        await ports.log.append(
            [
                dataclasses.replace(
                    message,
                    subject=subject,
                    payload=payload,
                    headers=headers,
                    id=f"b-{count}",
                    guard=None,
                )
            ]
        )
        count += 1
    return ports


def trigger(when: str, on: str, **changes: Any) -> TriggerRequested:
    do = {"type": "job.requested", "data": {"job": "r-${number}", "program": {"command": ["x"]}}}
    return TriggerRequested.model_validate(
        {"trigger": "retrain", "on": on, "when": when, "do": do, **changes}
    )


@pytest.mark.parametrize("when", WHENS)
async def test_the_sieve_changes_no_outcome(when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ports = await recorded(SimWorld())
    for on, changes in RULES:
        stretch = Stretch(None, datetime.now(UTC) + timedelta(days=100_000))
        declared = trigger(when, on, **changes)
        sifted = await Backtest(ports.log, VIEWS, compile_cel, "vision", declared).run(stretch)
        with monkeypatch.context() as patch:
            patch.setattr(Sieve, "keeps_back", lambda *_: False)
            whole = await Backtest(ports.log, VIEWS, compile_cel, "vision", declared).run(stretch)
        assert sifted == whole


async def test_the_sieve_keeps_back_most_of_what_does_not_match() -> None:
    ports = await recorded(SimWorld())
    sieve = Sieve(trigger("event.job == 'nobody'", "job.*"), compile_cel)
    stored = await ports.log.read("penstock.vision.job.queued.>")
    assert stored
    kept = [sieve.keeps_back(one, "vision", "job.queued") for one in stored[:2]]
    assert kept == [True, True]
