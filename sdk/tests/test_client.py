"""The client against a gateway in a thread: receipts, retries, streams, uploads, predictions."""

import inspect
import json
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import pytest

import penstock
from penstock import client as api
from penstock.client.aio import worker as async_worker
from penstock.client.sync import worker
from penstock.testing import FakeGateway
from penstock_schemas import (
    ExperimentRequested,
    JobFailed,
    JobQueued,
    JobRequested,
    JobSucceeded,
    ModelPromoted,
    ObjectRef,
    QueueConfigured,
    QueueRequested,
    TrialCompleted,
)

ROOT = Path(__file__).resolve().parents[1]
QUEUE = QueueRequested(queue="research", cpu_quota=8)


def promoted(version: int) -> ModelPromoted:
    return ModelPromoted(
        model="late", model_version=version, alias="champion", promotion="p1", reason="better"
    )


def job(name: str = "j1") -> JobRequested:
    return JobRequested(job=name, program={"command": ["true"]})


def succeeded(name: str = "j1") -> JobSucceeded:
    return JobSucceeded(job=name, attempt=1, seconds=1.0)


@pytest.fixture
def client(gateway: FakeGateway) -> penstock.Client:
    with penstock.connect(gateway.url) as made:
        yield made


def test_the_synchronous_client_is_what_the_generator_makes_of_the_asynchronous_one() -> None:
    script = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); import generate_sync, pathlib\n"
        "for path, text in generate_sync.generated().items():\n"
        "    assert path.read_text() == text, f'run sdk/generate_sync.py: {path.name} differs'\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_both_clients_have_the_same_names_and_signatures(client: penstock.Client) -> None:
    twin = api.AsyncClient(client.transport.address.gateway_url)
    nouns = {name for name in vars(client) if not name.startswith("_")}
    assert nouns == {name for name in vars(twin) if not name.startswith("_")}
    pairs = [(client, twin), *((getattr(client, n), getattr(twin, n)) for n in nouns)]
    compared = 0
    for one, other in pairs:
        if not type(one).__module__.startswith("penstock.client.sync"):
            continue
        methods = [n for n in dir(one) if not n.startswith("_") and callable(getattr(one, n))]
        assert methods == [
            n for n in dir(other) if not n.startswith("_") and callable(getattr(other, n))
        ]
        for name in methods:
            mine = inspect.signature(getattr(one, name))
            theirs = inspect.signature(getattr(other, name))
            assert list(mine.parameters) == list(theirs.parameters), name
            compared += 1
    assert compared > 60


def test_publishing_gives_a_receipt_and_the_same_key_acts_once(
    client: penstock.Client, gateway: FakeGateway
) -> None:
    first = client.publish(QUEUE, id="key-1")
    again = client.publish(QUEUE, id="key-1")
    assert (first.sequence, first.duplicate) == (1, False)
    assert (again.id, again.sequence, again.duplicate) == (first.id, 1, True)
    assert client.publish(QUEUE).sequence == 2
    assert len(gateway.events) == 2


def test_an_answer_that_is_lost_is_asked_for_again_with_the_same_key(
    client: penstock.Client, gateway: FakeGateway
) -> None:
    client.platform()
    gateway.break_next = 2
    done = client.publish(QUEUE)
    assert done.duplicate
    assert len(gateway.events) == 1
    keys = [headers["idempotency-key"] for method, _, headers, _ in gateway.requests[1:]]
    assert len(keys) == 3
    assert len(set(keys)) == 1


def test_a_refusal_carries_reason_and_field(client: penstock.Client) -> None:
    with pytest.raises(api.Refused, match="fact of the service scheduler") as refused:
        client.publish(JobQueued(job="j1", queue="q", attempt=1, reason="full"))
    assert (refused.value.field, refused.value.status) == ("type", 403)
    with pytest.raises(api.Refused) as invalid:
        client.event.publish("queue.requested", {"queue": "Not A Name"})
    assert invalid.value.field == "queue"


def test_where_nothing_runs_the_first_request_says_how_to_start_it() -> None:
    with penstock.connect("http://127.0.0.1:9") as client, pytest.raises(api.NotRunning) as error:
        client.platform()
    assert "penstock up" in error.value.hint


def test_a_patient_client_waits_for_a_platform_that_is_being_started() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        if len(asked) == 1:
            raise httpx.ConnectError("[Errno 111] Connection refused")
        return httpx.Response(200, json={"position": 7})

    transport = httpx.MockTransport(answer)
    with penstock.Client("http://127.0.0.1:9", patient=True, transport=transport) as client:
        assert client.platform()["position"] == 7
    assert len(asked) == 2


def test_the_address_is_that_of_the_platform_which_runs_here(
    gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("PENSTOCK_URL")
    monkeypatch.setenv("PENSTOCK_DATA_DIR", str(tmp_path))
    with pytest.raises(api.NotRunning, match="no platform runs in"):
        penstock.connect()
    (tmp_path / "run").mkdir()
    said = {"gateway_url": gateway.url, "extra": {"serving_url": "http://127.0.0.1:1"}}
    (tmp_path / "run" / "platform.json").write_text(json.dumps(said))
    with penstock.connect() as client:
        assert client.platform()["position"] == 0
        assert client.serving_url() == "http://127.0.0.1:1"


def test_an_address_that_is_none_is_refused_with_an_example() -> None:
    with pytest.raises(penstock.PenstockError) as error:
        penstock.connect("localhost:7360")
    assert error.value.field == "url"
    assert "http://127.0.0.1:7360" in error.value.hint


def test_a_list_turns_its_pages_and_says_what_it_is_true_at(
    client: penstock.Client, gateway: FakeGateway
) -> None:
    gateway.append(QUEUE)
    gateway.rows["default", "job"] = [
        {"id": f"j{n}", "status": "running" if n % 2 else "queued", "sequence": n} for n in range(7)
    ]
    rows = client.job.list(at="2026-11-24T10:00:00Z")
    assert [row.id for row in rows] == [f"j{n}" for n in range(7)]
    assert (rows.position, rows.at) == (1, "2026-11-24T10:00:00Z")
    assert [row.id for row in client.job.list(status="running")] == ["j1", "j3", "j5"]
    assert len(client.job.list(limit=3).all()) == 3


def test_a_thing_is_found_by_either_end_of_its_id(
    client: penstock.Client, gateway: FakeGateway
) -> None:
    gateway.rows["default", "job"] = [{"id": "aaaa1111-xy"}, {"id": "aaaa2222-zz"}]
    assert client.job.find("1111-xy").id == "aaaa1111-xy"
    assert client.job.find("aaaa2").id == "aaaa2222-zz"
    with pytest.raises(api.Ambiguous, match="2 things go by 'aaaa'"):
        client.job.find("aaaa")
    with pytest.raises(api.NotFound, match="there is no job 'bbbb'"):
        client.job.find("bbbb")


def test_nodes_live_in_the_system_namespace(client: penstock.Client, gateway: FakeGateway) -> None:
    gateway.rows["system", "node"] = [{"id": "laptop"}]
    assert [row.id for row in client.node.list()] == ["laptop"]


def test_a_subscriber_sees_typed_events_of_its_types_in_order(
    client: penstock.Client, gateway: FakeGateway
) -> None:
    for version in (1, 2, 3):
        gateway.append(QUEUE)
        gateway.append(promoted(version))
    stream = client.subscribe("model.*", after=0)
    seen = [next(stream) for _ in range(3)]
    stream.close()
    assert [event.data.model_version for event in seen] == [1, 2, 3]
    assert isinstance(seen[0].data, ModelPromoted)


def test_a_stream_that_breaks_goes_on_where_it_broke(
    client: penstock.Client, gateway: FakeGateway
) -> None:
    for version in range(1, 8):
        gateway.append(promoted(version))
    gateway.cut_streams_after = 3
    stream = client.subscribe("model.promoted", after=0)
    seen = [next(stream).data.model_version for _ in range(7)]
    stream.close()
    assert seen == [1, 2, 3, 4, 5, 6, 7]
    resumed = [h["last-event-id"] for _, p, h, _ in gateway.requests if "/stream" in p]
    assert resumed == ["0", "3"]


def test_a_line_separator_inside_of_an_event_does_not_break_it(
    client: penstock.Client, gateway: FakeGateway
) -> None:
    text = "one\u2028two\x85three"
    gateway.append(JobQueued(job="j1", queue="q", attempt=1, reason=text))
    event = client.wait("job.queued", after=0, timeout_seconds=10)
    assert event.payload["reason"] == text


def test_a_durable_subscriber_sees_the_event_again_that_it_had_not_finished(
    client: penstock.Client, gateway: FakeGateway
) -> None:
    first = client.subscribe("model.promoted", durable="deployer", after=0)
    for version in (1, 2, 3):
        gateway.append(promoted(version))
    assert next(first).data.model_version == 1
    assert next(first).data.model_version == 2
    first.close()  # as a crash would: version 2 was handed out, and not come back for
    second = client.subscribe("model.promoted", durable="deployer")
    assert next(second).data.model_version == 2
    second.close()


def test_waiting_ends_at_the_deadline(client: penstock.Client, gateway: FakeGateway) -> None:
    gateway.append(QUEUE)
    with pytest.raises(api.TimedOut):
        client.wait("model.promoted", after=0, timeout_seconds=0.2)


def test_a_job_is_waited_for_until_any_end(client: penstock.Client, gateway: FakeGateway) -> None:
    gateway.react(
        "job.requested",
        lambda asked: [
            JobFailed(job=asked["subject_id"], attempt=1, reason="signal 9", final=False),
            succeeded("another"),
            JobFailed(job=asked["subject_id"], attempt=2, reason="no memory", final=True),
        ],
    )
    wish = client.job.run(["true"])
    ending = client.job.wait(wish.id, after=wish.sequence, timeout_seconds=10)
    assert (ending.ok, ending.refused, ending.reason) == (False, False, "no memory")
    assert client.job.wait(wish.id, timeout_seconds=10) == ending, "an end that is there counts"


def test_a_worker_calls_again_what_fails_and_stops_rather_than_skip(
    client: penstock.Client, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "pause_seconds", lambda tries: 0)
    for version in (1, 2):
        gateway.append(promoted(version))
    calls: list[int] = []

    @client.on("model.promoted")
    def deploy(event: api.RecordedEvent) -> None:
        calls.append(event.data.model_version)
        if calls.count(1) < 3 or event.data.model_version == 2:
            raise OSError("the disk is full")

    from penstock.client.address import state_dir
    from penstock.client.files import PositionFile

    position = PositionFile(state_dir(), "default", "deployer")
    position.write(0)
    with pytest.raises(OSError, match="disk is full"):
        client.run_forever(durable="deployer")
    assert calls == [1, 1, 1] + [2] * worker.HANDLER_TRIES_MAX
    assert position.read() == 1, "the event that was not handled comes again"


async def test_an_asynchronous_worker_awaits_its_function(
    gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(async_worker, "pause_seconds", lambda tries: 0)
    async with penstock.AsyncClient(gateway.url) as client:
        published = await client.publish(QUEUE)
        seen = []
        async for event in client.subscribe(after=0, timeout_seconds=10):
            seen.append(event.id)
            break
        assert seen == [published.id]
        assert [e.id async for e in client.event.list("queue.*")] == seen
        tries = 0

        @client.on("queue.requested")
        async def fail(event: api.RecordedEvent) -> None:
            nonlocal tries
            tries += 1
            raise ValueError("no")

        from penstock.client.address import state_dir
        from penstock.client.files import PositionFile

        PositionFile(state_dir(), "default", "w").write(0)
        with pytest.raises(ValueError, match="no"):
            await client.run_forever(durable="w")
        assert tries == async_worker.HANDLER_TRIES_MAX


def test_a_folder_is_stored_file_by_file_and_registered_as_a_version(
    client: penstock.Client, gateway: FakeGateway, tmp_path: Path
) -> None:
    (tmp_path / "data" / "deep").mkdir(parents=True)
    (tmp_path / "data" / "deep" / "b.parquet").write_bytes(b"b" * 300_000)
    (tmp_path / "data" / "a.parquet").write_bytes(b"a")
    (tmp_path / "data" / "__pycache__").mkdir()
    (tmp_path / "data" / "__pycache__" / "x.pyc").write_bytes(b"no content")
    sent: list[int] = []
    wish = client.dataset.register("flights", tmp_path / "data", progress=sent.append)
    event = gateway.events[0]
    assert (event["type"], wish.id, wish.sequence) == ("dataset.registered", "flights", 1)
    assert (event["data"]["files"], event["data"]["size_bytes"]) == (2, 300_001)
    assert event["data"]["manifest"]["kind"] == "folder"
    assert event["data"]["dataset_version"] == event["data"]["manifest"]["digest"]
    folder = next(json.loads(b) for _, path, _, b in gateway.requests if path.endswith("/folder"))
    assert [one["path"] for one in folder["files"]] == ["a.parquet", "deep/b.parquet"]
    assert sum(sent) == 300_001


def test_a_job_sends_its_script_and_its_inputs_along(
    client: penstock.Client, gateway: FakeGateway, tmp_path: Path
) -> None:
    script, rows = tmp_path / "train.py", tmp_path / "rows.parquet"
    script.write_text("print(1)")
    rows.write_bytes(b"rows")
    client.job.run(["{python}", "train.py"], source=script, inputs={"training": rows})
    data = gateway.events[0]["data"]
    assert data["program"]["source"]["size_bytes"] == 8
    assert ObjectRef.model_validate(data["inputs"]["training"]).size_bytes == 4


def test_the_best_trial_is_the_one_that_the_objective_prefers(
    client: penstock.Client, gateway: FakeGateway
) -> None:
    request = ExperimentRequested.example | {
        "experiment": "e1",
        "objective": {"metric": "loss", "goal": "minimize"},
    }
    gateway.append(ExperimentRequested.model_validate(request))
    for number, value in enumerate([0.5, 0.2, 0.9]):
        gateway.append(
            TrialCompleted(
                trial=f"e1-{number}",
                experiment="e1",
                number=number,
                value=value,
                metrics={"loss": value},
                job=f"j{number}",
            )
        )
    assert client.experiment.best("e1").trial == "e1-1"
    with pytest.raises(api.NotFound, match="no trial of experiment 'e2'"):
        client.experiment.best("e2")


@pytest.fixture
def endpoint(gateway: FakeGateway) -> FakeGateway:
    base = "/default/late/v2/models/late"
    gateway.answers[base] = {
        "name": "late",
        "inputs": [
            {"name": "distance", "datatype": "FP64", "shape": [-1]},
            {"name": "hour", "datatype": "INT64", "shape": [-1]},
            {"name": "carrier", "datatype": "BYTES", "shape": [-1]},
        ],
    }
    gateway.answers[f"{base}/infer"] = {
        "model_name": "late",
        "model_version": "3",
        "outputs": [
            {"name": "probability", "datatype": "FP64", "shape": [2, 2], "data": [0.9, 0.1, 0, 1]},
            {"name": "label", "datatype": "INT64", "shape": [2], "data": [0, 1]},
        ],
    }
    return gateway


def test_a_data_frame_becomes_tensors_of_the_models_datatypes(
    client: penstock.Client, endpoint: FakeGateway
) -> None:
    table = pd.DataFrame(
        {
            "carrier": ["AA", None],
            "distance": np.array([733, np.nan], dtype="float32"),
            "hour": [7.0, 8.0],
            "unused": [1, 2],
        }
    )
    answer = client.endpoint.predict("late", table)
    assert answer == {"probability": [[0.9, 0.1], [0, 1]], "label": [0, 1]}
    assert (answer.model, answer.model_version) == ("late", "3")
    sent = json.loads(endpoint.requests[-1][3])["inputs"]
    assert [one["data"] for one in sent] == [[733.0, None], [7, 8], ["AA", None]]
    assert [type(hour) for hour in sent[1]["data"]] == [int, int]


@pytest.mark.parametrize(
    ("table", "field"),
    [
        ({"distance": [1.0], "hour": [7]}, "carrier"),
        ({"distance": [1.0], "hour": [7.5], "carrier": ["AA"]}, "hour"),
        ({"distance": [1.0], "hour": [7, 8], "carrier": ["AA"]}, "hour"),
        ({"distance": 1.0, "hour": [7], "carrier": ["AA"]}, "distance"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_naming_the_column(
    client: penstock.Client, endpoint: FakeGateway, table: dict[str, object], field: str
) -> None:
    with pytest.raises(api.Refused) as refused:
        client.endpoint.predict("late", table)
    assert refused.value.field == field


def test_an_event_that_no_reader_understands_is_shown_with_its_problem() -> None:
    from penstock.client.records import read_event

    raw = {"sequence": 1, "time": "2026-11-24T10:00:00Z", "id": "e", "type": "job.requested"}
    event = read_event({**raw, "problem": "not JSON"})
    assert event.problem == "not JSON"
    with pytest.raises(penstock.PenstockError, match="not readable: not JSON"):
        _ = event.data


def test_a_wish_and_its_answer_are_followed_without_polling(
    client: penstock.Client, gateway: FakeGateway
) -> None:
    gateway.react("queue.requested", lambda _: [QueueConfigured(queue="research", cpu_quota=8)])
    published = client.publish(QUEUE)
    ending = client.queue.wait("research", after=published.sequence, timeout_seconds=10)
    assert ending.ok
    asked = [path for method, path, _, _ in gateway.requests if method == "GET"]
    assert len(asked) == 1
    assert "/event/stream" in asked[0]
