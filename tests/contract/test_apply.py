"""Declaring by documents, against the gateway's own application."""

import asyncio
import json
import re
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from penstock.client import (
    AsyncClient,
    Client,
    InvalidDocuments,
    NotFound,
    Refused,
    read_documents,
)
from penstock_chassis.message import Draft, Recorded, read_recorded, to_message
from penstock_chassis.service import ServiceRunner
from penstock_chassis.testing import SimWorld
from penstock_gateway.adapters.http_server import UvicornServer
from penstock_gateway.app import build
from penstock_gateway.settings import GatewaySettings
from penstock_gateway.testing import InProcessServer
from penstock_schemas import (
    Event,
    JobRequested,
    QueueRequested,
    SecretSet,
    SubscriptionRequested,
    TriggerRequested,
    document_of,
    kinds,
    new_id,
)

START_SECONDS = 10.0
QUEUE = {"kind": "queue", "name": "research", "cpu_quota": 8}
FILE = """\
kind: queue
name: research
cpu_quota: 8
---
kind: trigger
name: retrain
on: features.materialized
do:
  type: queue.requested
  data: {queue: more}
"""


class Gateway:
    """A gateway on a simulated world, and what there is in its log."""

    def __init__(
        self, client: AsyncClient, world: SimWorld, transport: httpx.ASGITransport
    ) -> None:
        self.client, self.world, self.transport = client, world, transport

    async def append(self, event: Event) -> None:
        """What was said before."""
        draft, now = Draft(event, "vision"), datetime.now(UTC)
        message = to_message(draft, source="test", cause=None, id=new_id(), now=now)
        await self.world.ports("writer").log.append([message])

    async def said(self, filter: str, type: str = "") -> list[Event]:
        """The events on a subject, of one type where one is named."""
        stored = await self.world.ports("reader").log.read(filter)
        found = [read_recorded(one).event for one in stored]
        return [event for event in found if not type or event.type == type]

    async def answered(self, wish: str) -> None:
        """Wait until what the gateway itself answers is answered."""
        [asked] = [one for one in await self._all() if one.id == wish]
        if asked.event.noun() not in ("source", "subscription", "trigger"):
            return
        async with asyncio.timeout(START_SECONDS):
            while not await self._has_answered(asked):  # noqa: ASYNC110 - nothing tells it
                await asyncio.sleep(0.01)

    async def _has_answered(self, wish: Recorded) -> bool:
        if wish.event.noun() != "trigger":
            return any(one.causation_id == wish.id for one in await self._all())
        judged = (await self.client.platform())["services"]["gateway"]  # only a refusal is said
        return bool(judged["ready"]) and judged["position"] == self.last

    async def _all(self) -> list[Recorded]:
        stored = await self.world.ports("reader").log.read("penstock.>")
        return [read_recorded(one) for one in stored]

    @property
    def last(self) -> int:
        return self.world.events.last


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    world = SimWorld()
    ports, server = world.ports("gateway"), InProcessServer()
    runner = ServiceRunner(build(GatewaySettings(work_dir=tmp_path), ports, server), ports)
    running = asyncio.create_task(runner.run())
    await asyncio.wait_for(server.serving.wait(), START_SECONDS)
    transport = httpx.ASGITransport(server.app)
    async with AsyncClient("http://localhost", "vision", transport=transport) as client:
        yield Gateway(client, world, transport)
    await runner.drain()
    await asyncio.wait_for(running, START_SECONDS)


async def test_what_is_declared_so_already_is_left_alone(gateway: Gateway) -> None:
    client = gateway.client
    [first] = await client.apply([QUEUE])
    assert (first.action, first.problem) == ("create", "")
    assert first.published is not None
    [again] = await client.apply([QUEUE])
    assert (again.action, again.published) == ("unchanged", None)
    assert gateway.last == first.published.sequence
    [changed] = await client.apply([{**QUEUE, "gpu_quota": 1}])
    assert [(one.field, one.before, one.after) for one in changed.differences()] == [
        ("gpu_quota", None, 1)
    ]
    assert changed.action == "change"


async def test_a_field_that_is_left_out_goes_back_to_its_default(gateway: Gateway) -> None:
    await gateway.client.apply([{**QUEUE, "gpu_quota": 1}])
    [changed] = await gateway.client.apply([QUEUE])
    assert [(one.field, one.before, one.after) for one in changed.differences()] == [
        ("gpu_quota", 1, None)
    ]
    declared = await gateway.client.queue.declared("research")
    assert declared["fields"] == {"cpu_quota": 8.0, "gpu_quota": None}


async def test_looking_changes_nothing(gateway: Gateway) -> None:
    [change] = await gateway.client.diff([QUEUE])
    assert change.action == "create"
    assert gateway.last == 0


async def test_nothing_is_written_where_any_document_is_not_valid(gateway: Gateway) -> None:
    with pytest.raises(InvalidDocuments) as refused:
        await gateway.client.apply([QUEUE, {"kind": "queue", "nmae": "x"}, {"kind": "x"}])
    assert {fault.field for fault in refused.value.faults} >= {"name", "nmae", "kind"}
    assert gateway.last == 0


async def test_a_change_of_somebody_else_in_between_is_not_lost(gateway: Gateway) -> None:
    client = gateway.client
    await client.apply([QUEUE])
    mine = await client.diff([{**QUEUE, "cpu_quota": 1}])
    await client.apply([{**QUEUE, "cpu_quota": 2}])
    [lost] = await client.apply(mine)
    assert "changed" in lost.problem
    assert (await client.queue.declared("research"))["fields"]["cpu_quota"] == 2


@pytest.mark.parametrize("kind", kinds())
async def test_every_kind_is_applied_once_and_got_back(gateway: Gateway, kind: str) -> None:
    cls = kinds()[kind]
    event = cls.model_validate(cls.example)
    for secret in ("airline", "promotions"):  # that the examples name
        await gateway.append(SecretSet.model_validate({**SecretSet.example, "secret": secret}))
    [change] = await gateway.client.apply([event])
    assert change.action == "create"
    assert not change.problem
    assert change.published is not None
    await gateway.answered(change.published.id)
    [again] = await gateway.client.apply([event])
    assert (again.action, again.refusal) == ("unchanged", "")
    declared = await gateway.client.things(kind).declared(event.id)
    document = document_of(cls.model_validate({cls.key: event.id, **declared["fields"]}))
    assert document == document_of(event)
    [got] = await gateway.client.diff([document])
    assert got.action == "unchanged"
    assert await gateway.said(event.aggregate("vision").filter, cls.type) == [event]


async def test_the_documents_that_are_shown_are_valid_to_the_gateway_too(gateway: Gateway) -> None:
    page = (Path(__file__).parents[2] / "docs" / "declaring.md").read_text("utf-8")
    shown, wrong = read_documents("---\n".join(re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)))
    assert not wrong
    assert {one.kind for one in shown} >= {"trigger", "queue", "namespace"}
    example = TriggerRequested.model_validate(TriggerRequested.example)
    for event in (example, *(one.event for one in shown)):
        if isinstance(event, TriggerRequested):
            await gateway.client.trigger.apply(event)  # judged before it is sent


async def test_what_was_refused_is_not_declared_and_says_why(gateway: Gateway) -> None:
    document = {"kind": "subscription", "name": "s", "url": "https://a.example.org/", "secret": "s"}
    wish = {**document, "types": ["job.*"]}
    [change] = await gateway.client.apply([wish])
    assert change.published is not None
    await gateway.answered(change.published.id)
    [again] = await gateway.client.diff([wish])
    assert again.action == "create"
    assert "there is no secret 's'" in again.refusal
    assert "penstock secret set s" in again.refusal
    with pytest.raises(NotFound, match="there is no secret"):
        await gateway.client.subscription.declared("s")
    await gateway.append(SecretSet.model_validate({**SecretSet.example, "secret": "s"}))
    [change] = await gateway.client.apply([again])
    assert not change.problem
    assert change.published is not None
    await gateway.answered(change.published.id)
    [later] = await gateway.client.apply([{**wish, "types": ["job.nonsense"]}])
    assert later.published is not None
    await gateway.answered(later.published.id)
    [stands] = await gateway.client.diff([wish])
    assert stands.action == "unchanged"
    assert "there is no event job.nonsense" in stands.refusal


async def test_what_was_removed_is_declared_anew(gateway: Gateway) -> None:
    await gateway.append(SecretSet.model_validate({**SecretSet.example, "secret": "promotions"}))
    event = SubscriptionRequested.model_validate(SubscriptionRequested.example)
    [change] = await gateway.client.apply([event])
    assert change.published is not None
    await gateway.answered(change.published.id)
    await gateway.client.subscription.remove("promotions")
    [again] = await gateway.client.apply([event])
    assert again.action == "create"
    assert not again.problem
    [same] = await gateway.client.diff([event])
    assert same.action == "unchanged"


async def test_a_namespace_is_what_its_document_says_and_nothing_else(gateway: Gateway) -> None:
    client = gateway.client
    document = {"kind": "namespace", "name": "audio", "members": {"ada": "admin", "ci": "editor"}}
    [change] = await client.apply([document])
    assert (change.action, change.problem, change.namespace) == ("create", "", "audio")
    async with AsyncClient("http://localhost", "audio", transport=gateway.transport) as audio:
        await audio.member.remove("ci")
        await audio.member.add("eve", "admin")
        [drifted] = await client.diff([document])
        assert [(one.field, one.before, one.after) for one in drifted.differences()] == [
            ("members.eve", "admin", None),
            ("members.ci", None, "editor"),
        ]
        await audio.member.add("bob", "viewer")
        [late] = await client.apply([drifted])
        assert "changed" in late.problem, "of a comparison that is not true any more"
        [done] = await client.apply([document])
        assert not done.problem
        roles = {row.id: row["role"] async for row in audio.member.list(status="member")}
    assert roles == {"ada": "admin", "ci": "editor"}
    assert (await client.diff([document]))[0].action == "unchanged"
    assert await gateway.said("penstock.audio.member.*.*")


async def test_what_is_wrong_with_a_namespace_is_said_by_its_line() -> None:
    text = "kind: namespace\nname: audio\nnamespace: vision\nmembers:\n  ci: owner\n"
    found, faults = read_documents(text, "n.yaml")
    assert not found
    assert [(one.line, one.field) for one in faults] == [(3, "namespace"), (5, "members.ci")]


async def test_nobody_is_a_member_by_a_name_of_the_platforms_own(gateway: Gateway) -> None:
    [change] = await gateway.client.apply(
        [{"kind": "namespace", "name": "audio", "members": {"bootstrap": "admin"}}]
    )
    assert "members.bootstrap" in change.problem
    assert gateway.last == 0


async def test_an_event_that_declares_nothing_is_refused(gateway: Gateway) -> None:
    job = JobRequested.model_validate(JobRequested.example)
    with pytest.raises(Refused, match=r"job\.requested declares nothing"):
        await gateway.client.apply([job])


async def test_a_document_may_name_its_namespace(gateway: Gateway) -> None:
    found, _ = read_documents("kind: queue\nname: q\nnamespace: audio\n")
    [change] = await gateway.client.apply(found)
    assert change.namespace == "audio"
    [event] = await gateway.client.event.list().all() or [None]  # type: ignore[list-item]
    assert event is None


async def test_files_are_uploaded_and_the_same_file_changes_nothing(
    gateway: Gateway, tmp_path: Path
) -> None:
    (tmp_path / "train.py").write_text("print(1)")
    text = (
        "kind: experiment\nname: e\nprogram:\n  command: [python, train.py]\n"
        "  source: {upload: train.py}\nspace:\n  r: {kind: float, low: 0.1, high: 1}\n"
        "objective: {metric: auc}\nmax_trials: 1\n"
    )

    def documents() -> list[object]:
        found, faults = read_documents(text, "e.yaml", tmp_path)
        assert not faults
        return list(found)

    [dry] = await gateway.client.diff(documents(), upload=False)  # type: ignore[arg-type]
    assert dry.action == "create"
    [first] = await gateway.client.apply(documents())  # type: ignore[arg-type]
    assert first.after["program"]["source"]["kind"] == "folder"
    [dry] = await gateway.client.diff(documents(), upload=False)  # type: ignore[arg-type]
    assert dry.action == "upload"
    [again] = await gateway.client.apply(documents())  # type: ignore[arg-type]
    assert again.action == "unchanged"
    (tmp_path / "train.py").write_text("print(2)")
    [other] = await gateway.client.apply(documents())  # type: ignore[arg-type]
    assert other.action == "change"


class Terminal:
    """`penstock` on the command line, against a gateway that listens on a port."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder

    def run(self, *words: str, status: int = 0, stdin: str = "") -> tuple[str, str]:
        """Standard output and standard error of a command that must end with `status`."""
        done = subprocess.run(
            [Path(sys.executable).with_name("penstock"), *words],
            cwd=self.folder,
            env={"PENSTOCK_URL": self.url, "PATH": "", "HOME": str(self.folder)},
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, done.stderr
        return done.stdout, done.stderr


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """A gateway on a simulated world, in a thread of its own."""
    server = UvicornServer("127.0.0.1", 0)
    loop = asyncio.new_event_loop()
    started = threading.Event()
    made: list[ServiceRunner] = []

    async def serve() -> None:
        ports = SimWorld().ports("gateway")
        settings = GatewaySettings(work_dir=tmp_path / "work")
        runner = ServiceRunner(build(settings, ports, server), ports)
        made.append(runner)
        running = asyncio.create_task(runner.run())
        await runner.ready.wait()
        while server.port == 0:  # noqa: ASYNC110 - bound by the service's own task
            await asyncio.sleep(0.01)
        started.set()
        await running

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert started.wait(START_SECONDS)
    yield Terminal(f"http://127.0.0.1:{server.port}", tmp_path)
    asyncio.run_coroutine_threadsafe(made[0].drain(), loop)
    thread.join(START_SECONDS)
    loop.close()


def test_the_command_line_applies_and_gets_back_what_changes_nothing(terminal: Terminal) -> None:
    (terminal.folder / "all.yaml").write_text(FILE)
    shown, said = terminal.run("apply", "-f", "all.yaml", "--dry-run")
    assert "+ default queue/research  create" in shown
    assert "    cpu_quota: 8" in shown
    assert "0 applied" in said
    _, said = terminal.run("apply", "-f", "all.yaml", status=2)
    assert "--yes" in said
    done, said = terminal.run("apply", "-f", "all.yaml", "--yes")
    assert done == "queue/research\ntrigger/retrain\n"
    assert "2 applied, 0 unchanged" in said
    got = [
        terminal.run("get", *words, "-o", "yaml")[0]
        for words in (["queue", "research"], ["trigger"])
    ]
    assert got[0] == "kind: queue\nname: research\ncpu_quota: 8\n"
    assert "\non: features.materialized\n" in got[1]
    _, said = terminal.run("apply", "-f", "-", stdin="---\n".join(got))
    assert "0 applied, 2 unchanged" in said
    changed, _ = terminal.run("apply", "-f", "-", "--dry-run", stdin=FILE.replace("8", "9"))
    assert "    cpu_quota: 8 -> 9" in changed


def test_the_command_line_deletes_a_trigger_and_applies_it_anew(terminal: Terminal) -> None:
    (terminal.folder / "all.yaml").write_text(FILE)
    terminal.run("apply", "-f", "all.yaml", "--yes")
    _, said = terminal.run("trigger", "delete", "retrain", "--if-match", "1", status=5)
    assert "changed" in said
    _, said = terminal.run("trigger", "delete", "retrain", "--reason", "retired")
    assert "deleted trigger retrain" in said
    _, said = terminal.run("trigger", "delete", "retrain", status=3)
    assert "no trigger 'retrain'" in said
    shown, _ = terminal.run("apply", "-f", "all.yaml", "--dry-run")
    assert "+ default trigger/retrain  create" in shown
    done, _ = terminal.run("apply", "-f", "all.yaml", "--yes")
    assert done == "trigger/retrain\n"


def test_the_command_line_says_every_fault_and_keeps_going_where_told(terminal: Terminal) -> None:
    (terminal.folder / "bad.yaml").write_text(
        FILE + "---\nkind: queue\nname: q\ncpu_quot: 1\ngpu_quota: x\n"
    )
    _, said = terminal.run("apply", "-f", "bad.yaml", "--yes", status=2)
    assert "bad.yaml:14: cpu_quot: queue has no such field (did you mean 'cpu_quota'?)" in said
    assert "bad.yaml:15: gpu_quota: " in said
    assert terminal.run("get", "queue")[0] == ""
    done, _ = terminal.run("apply", "-f", "bad.yaml", "--yes", "--keep-going", "--json", status=2)
    document = json.loads(done)
    assert [one["action"] for one in document["items"]] == ["create", "create"]
    assert [one["line"] for one in document["faults"]] == [14, 15]


def test_the_command_line_prints_the_schema_of_every_kind(terminal: Terminal) -> None:
    listed, _ = terminal.run("schema")
    assert listed.split() == list(kinds())
    committed = Path(__file__).parents[2] / "schemas" / "catalog" / "kinds"
    for kind in kinds():
        printed, _ = terminal.run("schema", kind)
        assert printed == (committed / f"{kind}.json").read_text("utf-8")
    _, said = terminal.run("schema", "job", status=2)
    assert "one of: " in said


def test_nothing_declared_is_not_found(terminal: Terminal) -> None:
    assert "no queue 'x' is declared" in terminal.run("get", "queue", "x", status=3)[1]


def test_the_synchronous_client_applies_too(terminal: Terminal) -> None:
    with Client(terminal.url) as client:
        [change] = client.apply([QueueRequested(queue="q", cpu_quota=1)])
        assert change.published is not None
        assert client.queue.declared("q")["sequence"] == change.published.sequence
