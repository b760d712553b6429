"""Events to a real receiver that fails in every way, from a real platform that is killed."""

import json
import re
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from shutil import which
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from chaos import ChaosRun
from receiver import Receiver
from standardwebhooks import Webhook

import penstock
from penstock.client.sync import Client
from penstock_schemas import QueueRequested

pytestmark = [pytest.mark.e2e]
NAMESPACE = "demo"
SECRET = "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ="
EVENTS = 60
THINGS = 6
WAIT_SECONDS = 150.0
POLL_SECONDS = 0.1
PAGE = (Path(__file__).parents[2] / "docs" / "webhooks-out.md").read_text("utf-8")


def until(holds: Callable[[], bool], what: str, seconds: float = WAIT_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(POLL_SECONDS)


FAILING: dict[str, Callable[[int], int]] = {
    "/errors": lambda number: 500 if number % 7 == 3 else 200,
    "/slow": lambda number: 1050,
    "/silent": lambda number: 0 if number % 11 == 5 else 200,
    "/redirect": lambda number: 302 if number in (2, 3) else 200,
    "/gone": lambda number: 410 if number > 3 else 200,
    "/ordered": lambda number: 503 if number % 9 == 4 else 204,
}
"""How each path fails: often enough to be felt, none for ever."""


def behave(path: str, number: int) -> int:
    return FAILING.get(path, lambda number: 200)(number)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChaosRun]:
    monkeypatch.setenv("PENSTOCK_GATEWAY_SUBSCRIPTION_NETWORKS", '["127.0.0.0/8"]')
    running = ChaosRun(tmp_path, 1)
    running.restart()
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver(SECRET, behave).up()
    yield made
    made.down()


def client_of(run: ChaosRun) -> Client:
    return penstock.connect(run.endpoints().gateway_url, NAMESPACE)


def publish(run: ChaosRun, first: int, count: int) -> None:
    with client_of(run) as client:
        for number in range(first, first + count):
            client.publish(QueueRequested(queue=f"q{number % THINGS}", cpu_quota=1.0 + number))


def in_order(events: list[dict[str, Any]]) -> bool:
    first: dict[str, list[int]] = defaultdict(list)
    for sequence, about in dict.fromkeys((e["sequence"], e["subject"]) for e in events):
        first[about].append(sequence)
    return all(one == sorted(one) for one in first.values())


@pytest.mark.timeout(400)
def test_every_event_arrives_through_a_failing_receiver_and_kills_of_the_platform(
    run: ChaosRun, receiver: Receiver
) -> None:
    paths = ("errors", "slow", "silent", "redirect", "gone", "ordered", "well")
    with client_of(run) as client:
        client.secret.set("out", SECRET)
        for name in paths:
            url = receiver.url(f"/{name}")
            wish = client.subscription.add(
                name, url, ["queue.requested"], secret="out", ordered=name == "ordered"
            )
            assert client.subscription.wait(wish.id, after=wish.sequence).ok
    publish(run, 0, EVENTS // 3)
    until(lambda: bool(receiver.taken["/well"]), "the first delivery")
    run.restart()  # SIGKILL with deliveries on their way
    publish(run, EVENTS // 3, EVENTS // 3)
    receiver.down()
    time.sleep(3.0)  # the receiver is away; the platform dies once more meanwhile
    run.restart()
    receiver.up()
    publish(run, 2 * EVENTS // 3, EVENTS // 3)
    with client_of(run) as client:
        wished = client.event.list("queue.requested").all()
        due = {event.id for event in wished}
        assert len(due) == EVENTS
        for name in set(paths) - {"gone"}:
            until(lambda: taken(receiver, name) == due, f"all events at {name}")  # noqa: B023
        until(lambda: client.subscription.get("gone")["status"] == "disabled", "gone is disabled")
        assert "410" in client.subscription.get("gone")["reason"]
        page = client.subscription.deliveries("redirect", failed=True)
        assert {item["status"] for item in page["items"]} >= {302}
        assert any("not followed" in item["error"] for item in page["items"])
    assert receiver.wrong == []
    assert {len(ids) for ids in receiver.ids.values()} == {1}, "an event has one delivery id"
    assert in_order(receiver.taken["/ordered"])
    assert receiver.posts["/elsewhere"] == 0

    before, known = receiver.posts["/well"], dict(receiver.ids)
    with client_of(run) as client:
        wish = client.subscription.replay("well", after=0)
        until(lambda: receiver.posts["/well"] >= before + EVENTS, "the replay")
        wish = client.subscription.add("gone", receiver.url("/back"), ["queue.*"], secret="out")
        assert client.subscription.wait(wish.id, after=wish.sequence).ok
        client.subscription.replay("gone", after=0)
        until(lambda: due <= taken(receiver, "back"), "what was missed while it was disabled")
        assert client.subscription.test("well")["taken"]
        client.subscription.remove("well")
        until(lambda: client.subscription.get("well")["status"] == "removed", "the removal")
    again = {key: ids for key, ids in receiver.ids.items() if key[0] == "/well" and key in known}
    assert {len(ids) for ids in again.values()} == {1}, "a replay keeps the ids"


def taken(receiver: Receiver, name: str) -> set[str]:
    return {event["id"] for event in receiver.taken[f"/{name}"]}


@pytest.mark.timeout(120)
def test_the_machine_itself_is_not_reached_unless_the_settings_allow_it(
    run: ChaosRun, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PENSTOCK_GATEWAY_SUBSCRIPTION_NETWORKS")
    run.endpoints()  # it is up, so that it can be killed
    run.restart()
    with client_of(run) as client:
        client.secret.set("out", SECRET)
        for url, reason in {
            receiver.url("/"): "without TLS",
            f"https://127.0.0.1:{receiver.port}/": "not an address of the public internet",
            "https://[::ffff:169.254.169.254]/": "not an address of the public internet",
            "https://user:word@x.example/": "password",
        }.items():
            wish = client.subscription.add("bad", url, ["*"], secret="out")
            ending = client.subscription.wait(wish.id, after=wish.sequence)
            assert ending.refused
            assert reason in ending.reason
        # A name is judged when it is used.
        url = f"https://localhost:{receiver.port}/"
        wish = client.subscription.add("named", url, ["queue.*"], secret="out")
        assert client.subscription.wait(wish.id, after=wish.sequence).ok
        done = client.subscription.test("named")
        assert not done["taken"]
        assert "not connected" in done["error"]
    assert not receiver.posts


def snippet(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


def delivery(body: str) -> dict[str, str]:
    now = datetime.now(UTC)
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": f"v1,AAAA {Webhook(SECRET).sign('msg_1', now, body)}",
    }


def test_the_python_of_the_page_verifies_a_delivery_and_refuses_another() -> None:
    scope: dict[str, Any] = {}
    exec(snippet("python"), scope)
    body = '{"type": "model.promoted"}'
    assert scope["verified"](SECRET, delivery(body), body) == json.loads(body)
    with pytest.raises(Exception, match="signature"):
        scope["verified"](SECRET, delivery(body), body.replace("model", "job"))


@pytest.mark.skipif(which("node") is None, reason="no node on this machine")
def test_the_javascript_of_the_page_verifies_a_delivery_and_refuses_another() -> None:
    body = '{"type": "model.promoted"}'
    call = "const [, secret, headers, body] = process.argv;"
    call += "console.log(verified(secret, JSON.parse(headers), body).type)"
    words = [SECRET, json.dumps(delivery(body))]
    command = ["node", "-e", snippet("javascript") + call, *words]
    printed = subprocess.run([*command, body], check=True, capture_output=True, text=True).stdout
    assert printed == "model.promoted\n"
    command.append(body.replace("model", "job"))
    refused = subprocess.run(command, check=False, capture_output=True, text=True)
    assert "not signed by us" in refused.stderr
