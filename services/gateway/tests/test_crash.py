"""The whole gateway on the simulated bus: crashes at every port call, and faults of the bus."""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import httpx
import pytest

from penstock_chassis.embedded.files import write_private
from penstock_chassis.errors import Unavailable
from penstock_chassis.message import Draft
from penstock_chassis.ports import Message
from penstock_chassis.sealing import new_key
from penstock_chassis.testing import (
    NO_FAULTS,
    Build,
    Scenario,
    SimClock,
    SimCrash,
    SimLog,
    SimWorld,
    assert_survives_crashes,
    assert_survives_seeds,
    no_duplicate_ids,
)
from penstock_chassis.testing.simbus.stream import DUPLICATE_WINDOW_SECONDS
from penstock_gateway.adapters.memory_rows import MemoryRows
from penstock_gateway.app import build
from penstock_gateway.settings import GatewaySettings
from penstock_gateway.testing import InProcessServer, signed
from penstock_schemas import (
    Action,
    Event,
    QueueConfigured,
    QueueRequested,
    TriggerDeleted,
    TriggerFired,
    TriggerRejected,
    TriggerRequested,
    TriggerSkipped,
    WebhookReceived,
)

SECRET = "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ="
KEYED = "a wish under a key"
SECRET_SET = "a secret under a key"
SOURCE = "a source under a key"
RESEND_SECONDS = 1.0
SENDS_MAX = 200


def trigger(name: str, on: str, data: dict[str, str], type: str = "queue.requested") -> Event:
    return TriggerRequested(trigger=name, on=on, do=Action(type=type, data=data))


def silent_setup(world: SimWorld) -> Mapping[str, Build]:
    store = MemoryRows()  # outlives the process, as a database would
    return {"gateway": lambda ports: build(GatewaySettings(), ports, InProcessServer(), store)}


TRIGGERS = Scenario(
    silent_setup,
    publish=[
        trigger("good", "queue.requested", {"queue": "made-${event.queue}"}),
        trigger("bad", "queue.requested", {"nothing": "${1 +}"}),
        trigger("unfit", "queue.requested", {"queue": "Not A Name ${number}"}),
        QueueRequested(queue="first"),
        Draft(QueueRequested(queue="foreign"), "other"),
        Message("penstock.default.unknown.happened.x", b"{}", {}, "unknown"),
        Message("penstock.not-a-subject", b"\xff", {}, "odd"),
        Message("penstock.default.queue.requested.broken", b"{", {}, "broken"),
    ],
)


def check_triggers(log: SimLog) -> None:
    no_duplicate_ids(log)
    fired = Counter(
        (item.event.trigger, item.event.cause)
        for item in log
        if isinstance(item.event, TriggerFired)
    )
    assert set(fired.values()) <= {1}, fired
    produced = [item for item in log if item.type == "queue.requested" and item.causation_id]
    assert sum(fired.values()) == len(produced)
    names = [item.event.id for item in produced]
    # `good` also sees what it makes itself, until the guard against loops stops it.
    assert names == ["made-" * generation + "first" for generation in range(1, 9)]
    refused = Counter(
        (item.event.trigger, item.event.request)
        for item in log
        if isinstance(item.event, TriggerRejected)
    )
    assert set(refused.values()) == {1}, refused
    by_name = Counter(name for name, _ in refused)
    assert by_name["bad"] == 1
    assert by_name["unfit"] == 9  # every queue that anybody asked for, once
    skipped = [item.event for item in log if isinstance(item.event, TriggerSkipped)]
    assert [(event.trigger, event.kind) for event in skipped] == [("good", "loop")]
    letters = {(letter.service, letter.subject) for letter in log.dead_letters}
    assert letters == {
        ("gateway-audit", "penstock.default.unknown.happened.x"),
        ("gateway-audit", "penstock.not-a-subject"),
    }
    if log.world.faults == NO_FAULTS:  # a letter put again past the duplicate window stands twice
        assert len(log.dead_letters) == 2


def test_triggers_fire_once_through_a_crash_at_every_port_call() -> None:
    assert_survives_crashes(TRIGGERS, check_triggers)


def test_triggers_fire_once_through_faults_of_the_bus(sim_seeds: range) -> None:
    assert_survives_seeds(TRIGGERS, check_triggers, sim_seeds)


def configured(queue: str) -> Event:
    return QueueConfigured.model_validate({**QueueConfigured.example, "queue": queue})


MADE_ANEW = Scenario(
    silent_setup,
    publish=[
        trigger("t", "queue.configured", {"queue": "made-${event.queue}-${string(number)}"}),
        configured("before"),
        TriggerDeleted(trigger="t", by="ada"),
        configured("between"),
        trigger("t", "queue.configured", {"queue": "made-${event.queue}-${string(number)}"}),
        configured("after"),
    ],
)


def check_made_anew(log: SimLog) -> None:
    no_duplicate_ids(log)
    (deleted,) = [item.sequence for item in log if item.type == "trigger.deleted"]
    fired = [item for item in log if isinstance(item.event, TriggerFired)]
    late = [item.event.produced_id for item in fired if item.sequence > deleted]
    assert late == ["made-after-1"]
    early = [item.event.produced_id for item in fired if item.sequence < deleted]
    assert early in ([], ["made-before-1"])


def test_a_deleted_trigger_fires_for_nothing_through_a_crash_at_every_port_call() -> None:
    assert_survives_crashes(MADE_ANEW, check_made_anew)


def test_a_deleted_trigger_fires_for_nothing_through_faults_of_the_bus(sim_seeds: range) -> None:
    assert_survives_seeds(MADE_ANEW, check_made_anew, sim_seeds)


def webhook_setup(key_file: Path, world: SimWorld) -> Mapping[str, Build]:
    """A sender that sends each delivery until it is answered 202, some of them twice."""
    server = InProcessServer()
    settings = GatewaySettings(secrets_key_file=key_file)
    world.spawn(send_all(server))
    store = MemoryRows()
    return {"gateway": lambda ports: build(settings, ports, server, store)}


async def send_all(server: InProcessServer) -> None:
    """Each delivery, and a wish under a key, until they are answered; then some of them again,
    long after the bus has forgotten their ids."""
    await insist(server, SECRET_SET)
    await insist(server, SOURCE)
    await insist(server, "msg-1")
    await insist(server, "msg-2")
    await insist(server, KEYED)
    await asyncio.sleep(2 * DUPLICATE_WINDOW_SECONDS)
    await insist(server, KEYED)
    await insist(server, SECRET_SET)
    await insist(server, "msg-1")
    await insist(server, "msg-3")


async def insist(server: InProcessServer, what: str) -> None:
    for _ in range(SENDS_MAX):
        if await send(server, what) in (200, 202):
            return
        await asyncio.sleep(RESEND_SECONDS)


async def send(server: InProcessServer, what: str) -> int:
    await server.serving.wait()
    if server.app is None:
        return 0  # it died in between
    method = "POST"
    if what == SECRET_SET:
        method, path = "PUT", "/v1/default/secret/airline"
        body = b'{"value": "%s"}' % SECRET.encode()
        headers = {"content-type": "application/json", "idempotency-key": what}
    elif what == SOURCE:
        body = (
            b'{"type": "source.requested", "data": '
            b'{"source": "airline", "scheme": "standard", "secrets": ["airline"]}}'
        )
        path = "/v1/default/event"
        headers = {"content-type": "application/json", "idempotency-key": what}
    elif what == KEYED:
        body = b'{"type": "queue.requested", "data": {"queue": "keyed"}}'
        path = "/v1/default/event"
        headers = {"content-type": "application/json", "idempotency-key": what}
    else:
        body, headers = signed(SECRET, what, {"of": what}, SimClock().now())
        path = "/v1/webhooks/default/airline"
    transport = httpx.ASGITransport(server.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        try:
            answer = await client.request(method, path, content=body, headers=headers)
        except (SimCrash, Unavailable, asyncio.CancelledError):
            return 0  # the process died under the request
    return answer.status_code


def check_webhooks(log: SimLog) -> None:
    no_duplicate_ids(log)
    received = [item.event for item in log if isinstance(item.event, WebhookReceived)]
    assert sorted(event.delivery for event in received) == ["msg-1", "msg-2", "msg-3"]
    assert all(event.data == {"of": event.delivery} for event in received)
    wished = [item for item in log if item.event.id == "keyed"]
    assert len(wished) == 1
    fired = [item.event for item in log if isinstance(item.event, TriggerFired)]
    assert len(fired) == len({event.cause for event in fired}) == 3
    assert not log.dead_letters
    assert [item.type for item in log if item.type.startswith("secret.")] == ["secret.set"]
    assert [item.type for item in log if item.type.startswith("source.")] == [
        "source.requested",
        "source.configured",
    ]
    (entry,) = log.world.buckets["SECRETS"].entries.values()
    assert json.loads(entry[0].value)["told"] is True


@pytest.fixture(scope="module")
def webhooks(tmp_path_factory: pytest.TempPathFactory) -> Scenario:
    key_file = tmp_path_factory.mktemp("keys") / "secrets.key"
    write_private(key_file, new_key())
    return Scenario(
        partial(webhook_setup, key_file),
        publish=[trigger("retrain", "webhook.received", {"queue": "${event.data.of}"})],
        until=lambda log: sum(isinstance(item.event, TriggerFired) for item in log) >= 3,
        settle_seconds=10,
    )


def test_deliveries_take_effect_once_through_a_crash_at_every_port_call(
    webhooks: Scenario,
) -> None:
    assert_survives_crashes(webhooks, check_webhooks)


def test_deliveries_take_effect_once_through_faults_of_the_bus(
    webhooks: Scenario, sim_seeds: range
) -> None:
    assert_survives_seeds(webhooks, check_webhooks, sim_seeds)
