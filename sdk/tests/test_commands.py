"""The command line against a gateway in a thread: text, JSON, and exit codes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import penstock as sdk
from penstock.cli.main import make_app
from penstock.cli.views import VIEWS
from penstock.testing import FakeGateway
from penstock_schemas import (
    DatasetProfiled,
    JobFailed,
    JobSucceeded,
    ModelPromoted,
    PromotionRefused,
    QueueRequested,
    TrialCompleted,
    event_types,
)

JOB = "0190c2a4-7b1e-7c30-8f00-00000000a001"
Penstock = Callable[..., object]


def test_every_noun_that_has_a_view_is_a_command_and_an_attribute(gateway: FakeGateway) -> None:
    catalogue = {type.partition(".")[0] for type in event_types()}
    assert catalogue == set(VIEWS)
    groups = {group.name: group.typer_instance for group in make_app().registered_groups}
    with sdk.connect(gateway.url) as client:
        for noun in catalogue:
            verbs = {command.name for command in groups[noun].registered_commands}
            assert {"ls", "show"} <= verbs, noun
            assert client.things(noun).noun == noun
            for method in ("list", "get"):
                assert callable(getattr(client.things(noun), method)), noun


def test_everything_that_prints_can_print_json() -> None:
    seen = 0
    for group in make_app().registered_groups:
        for command in group.typer_instance.registered_commands:
            if command.callback.__module__.startswith("penstock.cli"):
                assert "json_output" in command.callback.__annotations__, command.name
                seen += 1
    assert seen > 45


@pytest.mark.parametrize("noun", sorted(VIEWS))
def test_each_noun_lists_and_shows(noun: str, gateway: FakeGateway, penstock: Penstock) -> None:
    namespace = "system" if noun in ("node", "plan") else "default"
    row = {"id": "one", "namespace": namespace, "status": "ready", "reason": "because"}
    row |= {"updated_at": "2026-11-24T10:00:00Z", "size_bytes": 3_000_000}
    gateway.rows[namespace, noun] = [row, row | {"id": "two"}, row | {"id": "three"}]
    if noun == "namespace":  # each lives in itself
        gateway.rows["two", noun] = gateway.rows[namespace, noun]
    listed = penstock(noun, "ls")
    assert listed.code == 0
    assert [line.split()[0] for line in listed.out.splitlines()] == [noun, "one", "two", "three"]
    assert "because" in listed.out
    document = json.loads(penstock(noun, "ls", "--json").out)
    assert [item["id"] for item in document["items"]] == ["one", "two", "three"]
    assert document["position"] == 0
    shown = penstock(noun, "show", "two")
    assert shown.code == 0
    assert "2.86 MiB (3,000,000 bytes)" in shown.out
    assert json.loads(penstock(noun, "show", "two", "--json").out) == row | {"id": "two"}
    missing = penstock(noun, "show", "nothing")
    where = "nothing" if noun == "namespace" else namespace
    assert missing.code == 3
    assert missing.err == f"error: there is no {noun} 'nothing' in {where}\n"
    assert missing.out == ""


def test_a_table_into_a_pipe_is_plain_and_aligned(gateway: FakeGateway, penstock: Penstock) -> None:
    gateway.rows["default", "experiment"] = [
        {"id": "flights-1", "status": "completed", "succeeded": 8, "best_value": 0.71234},
        {"id": "f2", "status": "running", "succeeded": 12, "best_value": None},
    ]
    assert penstock("experiment", "ls").out.splitlines() == [
        "experiment  status     succeeded  best value",
        "flights-1   completed          8      0.7123",
        "f2          running           12  –",
    ]


def test_a_list_of_the_past_says_what_it_is_true_at(
    gateway: FakeGateway, penstock: Penstock
) -> None:
    gateway.rows["default", "job"] = [{"id": "j1", "status": "running"}]
    done = penstock("job", "ls", "--at", "2026-11-24T10:00:00+00:00")
    assert "true at 2026-11-24T10:00:00+00:00, position 0 of the log" in done.err
    assert "at=2026-11-24T10%3A00%3A00%2B00%3A00" in gateway.requests[-1][1]
    assert penstock("job", "ls", "--at", "yesterday").code == 2


def test_an_empty_list_says_how_to_make_the_first_and_prints_no_data(
    gateway: FakeGateway, penstock: Penstock
) -> None:
    none = penstock("job", "ls")
    assert (none.code, none.out) == (0, "")
    assert none.err == "no jobs in default yet; make the first: penstock job run train.py\n"
    assert penstock("job", "ls", "--status", "failed").err == "no jobs in default match\n"
    assert penstock("job", "ls", "--at", "1h").err.startswith("there were no jobs in default yet")


def test_where_no_platform_runs_the_error_says_how_to_start_one(
    penstock: Penstock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("PENSTOCK_URL", raising=False)
    monkeypatch.setenv("PENSTOCK_DATA_DIR", str(tmp_path))
    done = penstock("job", "ls")
    assert done.code == 1
    assert done.err == (
        f"error: no platform runs in {tmp_path}\n"
        "hint: start one with `penstock up`, or name another with PENSTOCK_URL\n"
    )


def test_a_wrong_command_line_is_code_2(gateway: FakeGateway, penstock: Penstock) -> None:
    assert penstock("job", "ls", "--nonsense").code == 2
    assert penstock("event", "publish", "queue.requested", "{not json").code == 2
    assert penstock("job", "run", "missing.py").err == "error: there is no file missing.py\n"


def test_events_are_listed_with_what_happened(
    story: object, gateway: FakeGateway, penstock: Penstock
) -> None:
    lines = penstock("event", "ls").out.splitlines()
    assert [line.split()[0] for line in lines] == ["1", "2", "3", "4", "5"]
    said = r"default +job\.placed +0000a001 +on laptop: 1 of 2 CPUs was free"
    assert re.search(rf"^ +3 .*\d\d:\d\d:\d\d  {said}$", lines[2])
    assert lines[4].endswith("in 3.4 s auc=0.71")
    some = penstock("event", "ls", "--type", "job.placed", "--type", "job.s*")
    assert len(some.out.splitlines()) == 1, "a star stands for a whole token"
    assert len(penstock("event", "ls", "--id", "0000a001").out.splitlines()) == 5
    assert len(penstock("event", "ls", "--limit", "2").out.splitlines()) == 2
    document = json.loads(penstock("event", "ls", "--json").out)
    assert document["items"] == gateway.events


def test_text_of_strangers_cannot_drive_the_terminal(
    gateway: FakeGateway, penstock: Penstock
) -> None:
    gateway.append(JobFailed(job="j1", attempt=1, reason="\x1b[2J\x07gone\nj2", final=True))
    out = penstock("event", "ls").out
    assert "\x1b" not in out
    assert len(out.splitlines()) == 1


def test_an_event_is_shown_by_sequence_by_a_part_of_its_id_and_by_its_thing(
    story: object, gateway: FakeGateway, penstock: Penstock
) -> None:
    whole = gateway.events[2]["id"]
    for handle in ("3", whole, whole[-8:]):
        assert json.loads(penstock("event", "show", handle, "--json").out) == gateway.events[2]
    assert json.loads(penstock("event", "show", JOB, "--json").out) == gateway.events[0]
    shown = penstock("event", "show", "3")
    assert "type            job.placed" in shown.out
    assert '"node": "laptop"' in shown.out
    assert penstock("event", "show", "nothing-like-it").code == 3


def test_the_tree_hangs_each_event_below_its_cause_and_marks_the_asked_one(
    story: object, penstock: Penstock
) -> None:
    lines = penstock("event", "tree", "3").out.splitlines()
    assert lines[0].startswith("job.requested 0000a001  {python} train.py  ")
    assert lines[1].startswith("├── → job.queued 0000a001  in default: needs 1 CPU; 0 are free")
    assert lines[2].startswith("├── → job.placed")
    assert [line.endswith("◀ asked") for line in lines] == [False, False, True, False, False]
    assert json.loads(penstock("event", "tree", "3", "--json").out)["event"]["sequence"] == 1


def test_the_tree_goes_one_level_deeper_where_the_story_forks(
    gateway: FakeGateway, penstock: Penstock
) -> None:
    root = gateway.append(QueueRequested(queue="root"))
    one = gateway.append(QueueRequested(queue="one"), cause=root)
    for name in ("left", "right"):
        gateway.append(QueueRequested(queue=name), cause=one)
    lines = penstock("event", "tree", "1").out.splitlines()
    guides = [line.split("queue.requested")[0] for line in lines]
    assert guides == ["", "└── → ", "    ├── ", "    └── "]
    names = [line.split("queue.requested ")[1].split()[0] for line in lines]
    assert names == ["root", "one", "left", "right"]


def test_a_replay_keeps_the_pauses_scaled(
    story: object, penstock: Penstock, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    done = penstock("event", "replay", "--speed", "10", "--type", "job.*")
    assert len(done.out.splitlines()) == 5
    assert pauses == pytest.approx([0.1] * 4)


def test_publishing_prints_the_id_and_the_same_key_acts_once(
    gateway: FakeGateway, penstock: Penstock
) -> None:
    argv = ("event", "publish", "queue.requested", '{"queue": "research"}', "--key", "k1")
    first = penstock(*argv)
    assert first.code == 0
    assert first.out.strip() == gateway.events[0]["id"]
    again = json.loads(penstock(*argv, "--json").out)
    assert again == {"id": gateway.events[0]["id"], "sequence": 1, "duplicate": True}
    refused = penstock("event", "publish", "job.placed", "{}")
    assert refused.code == 5
    assert refused.err.startswith("error: ")


def test_watch_prints_the_event_that_it_waited_for_and_times_out_with_6(
    story: object, penstock: Penstock
) -> None:
    done = penstock("event", "watch", "job.succeeded", "--after", "0", "--json")
    assert json.loads(done.out)["sequence"] == 5
    late = penstock("event", "watch", "model.promoted", "--after", "0", "--timeout", "200ms")
    assert (late.code, late.out) == (6, "")


def test_tail_follows_the_log_and_ctrl_c_ends_it_with_130(
    story: object, gateway: FakeGateway
) -> None:
    # Where the tests run in the background, their children would ignore Ctrl-C.
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from penstock.cli.main import main; main()"
    )
    command = [sys.executable, "-c", program, "event", "tail"]
    options = ["--since", "2026-11-24T10:00:04Z", "--json"]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["sequence"] == 4
        assert json.loads(process.stdout.readline())["sequence"] == 5
        gateway.append(QueueRequested(queue="research"), namespace="vision")
        assert json.loads(process.stdout.readline())["namespace"] == "vision"
        process.send_signal(2)
        assert process.wait(10) == 130


def test_job_why_says_one_sentence_then_the_reasons_in_order(
    story: list[dict[str, object]], gateway: FakeGateway, penstock: Penstock
) -> None:
    gateway.rows["default", "job"] = [{"id": JOB, "status": "running"}]
    why = {
        "status": "running",
        "sentence": "Runs on laptop since 10:00:04, in its first attempt.",
        "events": story[:3],
    }
    gateway.answers[f"/v1/default/job/{JOB}/why"] = why
    lines = penstock("job", "why", "0000a001").out.splitlines()
    assert lines[0] == "Runs on laptop since 10:00:04, in its first attempt."
    assert lines[2].split() == ["when", "what", "why"]
    assert lines[4].endswith("job.queued     in default: needs 1 CPU; 0 are free")
    assert json.loads(penstock("job", "why", JOB, "--json").out) == why


def test_a_job_prints_its_metrics_and_its_log(gateway: FakeGateway, penstock: Penstock) -> None:
    gateway.rows["default", "job"] = [{"id": JOB}, {"id": "quiet"}]
    points = [
        {"step": 20, "time": 1.0, "metrics": {"auc": 0.7}},
        {"step": 40, "time": 2.0, "metrics": {"auc": 0.71, "loss": 0.5}},
    ]
    gateway.answers[f"/v1/default/job/{JOB}/metrics"] = {"points": points}
    gateway.answers[f"/v1/default/job/{JOB}/logs"] = "one\ntwo\n"
    gateway.answers["/v1/default/job/quiet/logs"] = ""
    assert penstock("job", "metrics", JOB).out.splitlines() == [
        "step   auc  loss",
        "  20   0.7     –",
        "  40  0.71   0.5",
    ]
    assert json.loads(penstock("job", "metrics", JOB, "--json").out) == {"points": points}
    assert penstock("job", "logs", JOB).out == "one\ntwo\n"
    assert "has printed nothing yet" in penstock("job", "logs", "quiet").err


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (JobSucceeded(job="j1", attempt=1, seconds=1), 0),
        (JobFailed(job="j1", attempt=3, reason="no memory", final=True), 1),
    ],
)
def test_a_job_that_is_waited_for_ends_with_its_own_code(
    end: JobSucceeded, code: int, gateway: FakeGateway, penstock: Penstock, tmp_path: Path
) -> None:
    gateway.react("job.requested", lambda _: [end])
    script = tmp_path / "train.py"
    script.write_text("print(1)")
    argv = ["job", "run", "--name", "j1", "-p", "rate=0.1", "--wait", str(script), "--fast", "-n"]
    done = penstock(*argv)
    assert done.code == code
    assert done.out == "j1\n"
    assert end.type in done.err
    asked = gateway.events[0]["data"]
    assert asked["params"] == {"rate": 0.1}
    assert asked["program"]["command"] == ["{python}", "train.py", "--fast", "-n"]


def test_a_refused_promotion_ends_with_5(gateway: FakeGateway, penstock: Penstock) -> None:
    gateway.react(
        "promotion.requested",
        lambda asked: [
            PromotionRefused(
                promotion=asked["subject_id"],
                model="late",
                model_version=2,
                alias="champion",
                reason="not better",
            )
        ],
    )
    done = penstock("model", "promote", "late", "2", "--wait")
    assert done.code == 5
    assert "error: promotion.refused: not better" in done.err
    gateway.react(
        "promotion.requested",
        lambda asked: [
            ModelPromoted(
                model="late",
                model_version=2,
                alias="champion",
                promotion=asked["subject_id"],
                reason="better",
            )
        ],
    )
    assert penstock("model", "promote", "late", "2", "--wait").code == 0


def test_a_dataset_is_registered_from_files(
    gateway: FakeGateway, penstock: Penstock, tmp_path: Path
) -> None:
    (tmp_path / "a.parquet").write_bytes(b"rows")
    gateway.react(
        "dataset.registered",
        lambda asked: [
            DatasetProfiled(
                dataset="flights",
                dataset_version=asked["data"]["dataset_version"],
                manifest=asked["data"]["manifest"],
                tables=[],
                profile=asked["data"]["manifest"],
                profiler="1",
                seconds=1,
            )
        ],
    )
    done = penstock("dataset", "register", "flights", str(tmp_path / "a.parquet"), "--wait")
    assert (done.code, done.out) == (0, "flights\n")
    assert gateway.events[0]["data"]["files"] == 1
    assert penstock("dataset", "register", "flights", "missing").code == 5
    assert penstock("dataset", "register", "Bad Name", str(tmp_path)).code == 2


def test_an_experiment_reads_its_space_from_the_command_line(
    gateway: FakeGateway, penstock: Penstock, tmp_path: Path
) -> None:
    (tmp_path / "train.py").write_text("print(1)")
    space = ["-s", "rate=0.02..0.3:log", "-s", "leaves=7..63", "-s", "kind=a,b"]
    argv = ["experiment", "run", *space, "-m", "auc", "--trials", "4", "--model", "late"]
    done = penstock(*argv, "--source", str(tmp_path), "e1", "train.py")
    assert (done.code, done.out) == (0, "e1\n")
    data = gateway.events[0]["data"]
    assert data["space"]["rate"] == {
        "kind": "float",
        "low": 0.02,
        "high": 0.3,
        "log": True,
        "step": None,
    }
    assert data["space"]["leaves"]["kind"] == "int"
    assert data["space"]["kind"]["choices"] == ["a", "b"]
    assert (data["max_trials"], data["target"]["model"]) == (4, "late")
    wrong = penstock("experiment", "run", "-s", "rate=0.1", "-m", "auc", "e1", "true")
    assert wrong.err == "error: --space rate: write LOW..HIGH[:log], or the choices A,B,C\n"
    assert wrong.code == 2


def test_the_best_trial_is_shown_with_its_parameters(
    gateway: FakeGateway, penstock: Penstock
) -> None:
    trial = TrialCompleted(
        trial="e1-4", experiment="e1", number=4, value=0.71, metrics={"auc": 0.71}, job=JOB
    )
    gateway.append(trial)
    gateway.rows["default", "trial"] = [{"id": "e1-4", "params": {"rate": 0.08}}]
    assert penstock("experiment", "best", "e1").out.splitlines()[:2] == [
        "trial    e1-4",
        "value    0.71",
    ]
    assert json.loads(penstock("experiment", "best", "e1", "--json").out)["params"] == {
        "rate": 0.08
    }
    assert penstock("experiment", "best", "e2").code == 3


def test_a_lineage_names_what_each_thing_led_to(gateway: FakeGateway, penstock: Penstock) -> None:
    found = {
        "nodes": [
            {"noun": "dataset", "id": "d@1", "label": "flights 9f86d0"},
            {"noun": "model", "id": "m@2", "label": "late version 2"},
        ],
        "edges": [["d@1", "m@2"]],
    }
    gateway.answers["/v1/default/model/late/lineage"] = found
    assert penstock("model", "lineage", "late").out.splitlines() == [
        "noun     which           led to",
        "dataset  flights 9f86d0  model late version 2",
        "model    late version 2",
    ]
    assert json.loads(penstock("model", "lineage", "late", "--json").out) == found


def test_an_endpoint_is_asked_about_a_row(gateway: FakeGateway, penstock: Penstock) -> None:
    base = "/default/late/v2/models/late"
    tensor = {"name": "distance", "datatype": "FP64", "shape": [-1]}
    gateway.answers[base] = {"name": "late", "inputs": [tensor]}
    output = {"name": "probability", "datatype": "FP64", "shape": [1], "data": [0.25]}
    gateway.answers[f"{base}/infer"] = {
        "model_name": "late",
        "model_version": "3",
        "outputs": [output],
    }
    done = penstock("endpoint", "predict", "late", '{"distance": 733}')
    assert done.out.splitlines() == ["probability", "       0.25"]
    assert done.err == "by late version 3\n"
    answer = json.loads(
        penstock("endpoint", "predict", "late", '{"distance": [733]}', "--json").out
    )
    assert answer["outputs"] == {"probability": [0.25]}
    missing = penstock("endpoint", "predict", "late", '[{"hour": 1}]')
    assert missing.code == 5
    assert missing.err.startswith("error: distance: the model takes a column 'distance'")


def test_dead_letters_are_listed_shown_retried_and_dropped(
    gateway: FakeGateway, penstock: Penstock
) -> None:
    assert penstock("deadletter", "ls").err == "no dead letters: everything was handled\n"
    letter = {"position": 4, "service": "tuner", "subject": "penstock.a.job.failed.j1"}
    letter |= {"sequence": 9, "reason": "boom", "deliveries": 5, "traceback": "Traceback: boom"}
    gateway.letters = [letter | {"time": "2026-11-24T10:00:00Z", "payload": "{}"}]
    gateway.letters.append(gateway.letters[0] | {"position": 5})
    assert penstock("deadletter", "ls").out.splitlines()[1].split()[:3] == [
        "4",
        "tuner",
        "penstock.a.job.failed.j1",
    ]
    assert "Traceback: boom" in penstock("deadletter", "show", "4").out
    assert penstock("deadletter", "show", "7").code == 3
    assert penstock("deadletter", "retry", "4").code == 0
    unasked = penstock("deadletter", "drop", "5", "--no-input")
    assert unasked.code == 2
    assert unasked.err.endswith("hint: penstock deadletter drop 5 --yes\n")
    assert json.loads(penstock("deadletter", "drop", "5", "--yes", "--json").out) == {"dropped": 5}
    assert gateway.letters == []


def test_starting_the_command_line_loads_neither_the_client_nor_the_contracts() -> None:
    script = (
        "import sys; from penstock.cli.main import make_app; make_app()\n"
        "print(*{m.partition('.')[0] for m in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    heavy = {"httpx", "pydantic", "penstock_schemas", "nats", "pandas"}
    assert heavy & set(done.stdout.split()) == set()


def test_a_triggers_file_is_read_like_any_document(
    gateway: FakeGateway, penstock: Penstock, tmp_path: Path
) -> None:
    file = tmp_path / "retrain.yaml"
    head = "kind: trigger\nname: retrain\nnamespace: vision\non: job.failed\n"
    file.write_text(head + "do:\n  typ: job.requested\n  data: {}\n")
    for verb in ("apply", "dry-run", "backtest"):
        refused = penstock("trigger", verb, "-f", str(file))
        assert refused.code == 2
        assert f"{file}:5: do.type: " in refused.err
    file.write_text("kind: queue\nname: q\n")
    assert f"{file}:1: a queue, no trigger" in penstock("trigger", "apply", "-f", str(file)).err
    file.write_text(head + "do: {type: job.requested, data: {job: j}}\n")
    gateway.answers["/v1/vision/trigger/retrain/dry-run"] = {}
    done = penstock("trigger", "apply", "-f", str(file))
    assert done.out == "retrain\n", done.err
    asked = {path: json.loads(body) for _, path, _, body in gateway.requests if body}
    definition = asked["/v1/vision/trigger/retrain/dry-run"]["definition"]
    assert definition == {
        "trigger": "retrain",
        "on": "job.failed",
        "do": {"type": "job.requested", "data": {"job": "j"}},
    }
    assert asked["/v1/vision/event"]["type"] == "trigger.requested"
