"""Deliveries on the simulated bus: none is lost, each keeps its id, wherever the gateway dies."""

import asyncio
import base64
import json
import random
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from weakref import WeakKeyDictionary

import pytest
from standardwebhooks import Webhook

from penstock_chassis.embedded.files import write_private
from penstock_chassis.sealing import new_key, read_key_file
from penstock_chassis.secrets import SealedSecrets
from penstock_chassis.testing import (
    NO_FAULTS,
    Build,
    Scenario,
    SimLog,
    SimWorld,
    assert_survives_crashes,
    assert_survives_seeds,
    no_duplicate_ids,
)
from penstock_chassis.testing.simbus.incarnation import Incarnation
from penstock_chassis.testing.simbus.kv import SimKeyValues
from penstock_chassis.testing.simbus.world import SimPorts
from penstock_gateway.adapters.memory_rows import MemoryRows
from penstock_gateway.app import build
from penstock_gateway.domain.outgoing import delivery_id, matches
from penstock_gateway.ports import Answer, WebhookSender
from penstock_gateway.settings import GatewaySettings
from penstock_gateway.testing import InProcessServer
from penstock_schemas import (
    Event,
    QueueRequested,
    SecretSet,
    SubscriptionConfigured,
    SubscriptionDisabled,
    SubscriptionReplayed,
    SubscriptionReplayRequested,
    SubscriptionRequested,
)

OLD, NEW = ("whsec_" + base64.b64encode(byte * 24).decode() for byte in (b"o", b"n"))
TYPES = ("queue.*",)
EVENTS_MIN = 3


@dataclass
class Receiver:
    """The world's receiver: takes deliveries, or fails as the path of the URL says."""

    taken: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """By path: the ids of the events that it took, in order."""
    ids: dict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    """By path and event: the ids of its deliveries."""
    posts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    failed: set[tuple[str, str]] = field(default_factory=set)

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        path = url.rpartition("/")[2]
        said = json.loads(body)
        when = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
        id = headers["webhook-id"]
        expected = [Webhook(key).sign(id, when, body.decode()) for key in (NEW, OLD)]
        assert headers["webhook-signature"].split(" ") == expected
        assert said["timestamp"] == said["time"]
        self.posts[path] += 1
        self.ids[path, said["id"]].add(id)
        if path == "gone" and self.posts[path] > 1:
            return Answer(410, "status 410")
        if path == "flaky" and self.posts[path] in (2, 3):
            return Answer(503, "status 503", retry_after_seconds=3.0)
        if path == "ordered" and (path, said["id"]) not in self.failed and said["subject"] == "a":
            self.failed.add((path, said["id"]))
            return Answer(0, "ConnectError")
        self.taken[path].append(said["id"])
        return Answer(204)

    async def close(self) -> None:
        """Nothing is held."""


def subscription(name: str, **more: object) -> Event:
    given = {"subscription": name, "url": f"https://x.example/{name}", "types": TYPES}
    return SubscriptionRequested.model_validate({**given, "secret": "mine", **more})


async def seal(key_file: Path, world: SimWorld) -> None:
    life = Incarnation("seal", 1, faults=NO_FAULTS, chance=random.Random(0), trace=world.trace)
    secrets = SealedSecrets(SimKeyValues(world.buckets, life), read_key_file(key_file))
    await secrets.told(await secrets.set("default", "mine", OLD, id="1", by="x"))
    await secrets.told(await secrets.set("default", "mine", NEW, id="2", by="x", keep=True))


def setup(key_file: Path, world: SimWorld) -> Mapping[str, Build]:
    receiver, store = Receiver(), MemoryRows()
    RECEIVERS[world] = receiver
    world.spawn(seal(key_file, world))
    settings = GatewaySettings(secrets_key_file=key_file)

    def make(ports: SimPorts) -> WebhookSender:
        return ports.crashable(receiver)

    return {
        "gateway": lambda ports: build(
            settings, ports, InProcessServer(), store, partial(make, ports)
        )
    }


RECEIVERS: WeakKeyDictionary[SimWorld, Receiver] = WeakKeyDictionary()
"""The receiver of each run, for its check."""
SECRET = SecretSet(secret="mine", fingerprint="0" * 16, values=2, by="x")


def queues(*names: str) -> list[Event]:
    return [QueueRequested(queue=name) for name in names]


def check(log: SimLog) -> None:
    no_duplicate_ids(log)
    receiver = RECEIVERS[log.world]
    wished = {item.id: item.sequence for item in log}
    begun = {
        item.event.subscription: wished[item.event.request]
        for item in log
        if isinstance(item.event, SubscriptionConfigured)
    }
    # Where the bus brings the wish for a replay before the one for the subscription, it is refused.
    replayed = {i.event.subscription for i in log if isinstance(i.event, SubscriptionReplayed)}
    events = [item for item in log if matches(TYPES, item.type)]
    for name in begun.keys() - {"gone"}:
        after = 0 if name in replayed else begun[name]
        due = {item.id for item in events if item.sequence > after}
        assert len(due) >= EVENTS_MIN
        assert set(receiver.taken[name]) == due, name
    for (path, event), ids in receiver.ids.items():
        assert ids == {delivery_id("default", path, event)}
    disabled = [item.event for item in log if isinstance(item.event, SubscriptionDisabled)]
    assert [event.subscription for event in disabled] == ["gone"] * ("gone" in begun)
    if "ordered" in begun:
        in_order(log, receiver.taken["ordered"])
    assert not log.dead_letters


def in_order(log: SimLog, taken: list[str]) -> None:
    """What is about one queue was taken first in the order of the log."""
    about = {item.id: item.event.id for item in log}
    place = {item.id: item.sequence for item in log}
    first: dict[str, list[int]] = defaultdict(list)
    for id in dict.fromkeys(taken):
        first[about[id]].append(place[id])
    assert all(places == sorted(places) for places in first.values()), first


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "secrets.key"
    write_private(path, new_key())
    return path


def test_no_delivery_is_lost_through_a_crash_at_every_port_call(key_file: Path) -> None:
    scenario = Scenario(
        partial(setup, key_file),
        publish=[SECRET, subscription("ordered", ordered=True), *queues("a", "a", "b")],
        until=lambda log: any(isinstance(i.event, SubscriptionConfigured) for i in log),
        settle_seconds=20,
    )
    assert_survives_crashes(scenario, check)


def test_no_delivery_is_lost_through_faults_of_the_bus(key_file: Path, sim_seeds: range) -> None:
    scenario = Scenario(
        partial(setup, key_file),
        publish=[
            SECRET,
            *queues("before"),
            subscription("ordered", ordered=True),
            subscription("flaky"),
            subscription("gone"),
            *queues("a", "b", "a", "c", "a"),
            SubscriptionReplayRequested(subscription="flaky"),
            *queues("a", "d"),
        ],
        until=lambda log: any(isinstance(i.event, SubscriptionDisabled) for i in log),
        settle_seconds=60,
    )
    assert_survives_seeds(scenario, check, sim_seeds)


def test_the_simulated_receiver_notices_a_signature_that_is_not_right() -> None:
    headers = {"webhook-id": "m", "webhook-timestamp": "1", "webhook-signature": "v1,xx"}
    with pytest.raises(AssertionError):
        asyncio.run(Receiver().post("https://x/a", headers, b'{"time": 1, "timestamp": 1}'))
