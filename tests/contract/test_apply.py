"""Declaring by documents, against the gateway's own application."""

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from penstock.client import AsyncClient, Client, InvalidDocuments, Refused, read_documents
from penstock_chassis.message import read_recorded
from penstock_chassis.service import ServiceRunner
from penstock_chassis.testing import SimWorld
from penstock_gateway.adapters.http_server import UvicornServer
from penstock_gateway.app import build
from penstock_gateway.settings import GatewaySettings
from penstock_gateway.testing import InProcessServer
from penstock_schemas import JobRequested, QueueRequested, kinds

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
    """A gateway on a simulated world, and how much there is in its log."""

    def __init__(self, client: AsyncClient, world: SimWorld) -> None:
        self.client, self.world = client, world

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
        yield Gateway(client, world)
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
    [change] = await gateway.client.apply([event])
    assert change.action == "create"
    assert not change.problem
    [again] = await gateway.client.apply([event])
    assert again.action == "unchanged"
    stored = await gateway.world.ports("reader").log.read(event.aggregate("vision").filter)
    assert [read_recorded(one).event for one in stored if "requested" in one.subject] == [event]


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
