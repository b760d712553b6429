"""The training API: what a script reads and writes, on the platform and by hand."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from penstock.training import Run, RunError, run


@pytest.fixture
def platform(tmp_path: Path) -> dict[str, str]:
    """The environment that a runner prepares, with every folder below `tmp_path`."""
    training = tmp_path / "training.parquet"
    training.write_bytes(b"rows")
    return {
        "PENSTOCK_JOB": "j1",
        "PENSTOCK_ATTEMPT": "2",
        "PENSTOCK_PARAMS": '{"learning_rate": 0.1, "max_iter": 40, "kind": "gbdt", "refit": false}',
        "PENSTOCK_INPUTS": json.dumps({"training": str(training)}),
        "PENSTOCK_METRICS": str(tmp_path / "metrics.jsonl"),
        "PENSTOCK_RESULT": str(tmp_path / "result.json"),
        "PENSTOCK_OUTPUT_DIR": str(tmp_path / "output"),
        "PENSTOCK_CHECKPOINT_DIR": str(tmp_path / "checkpoints"),
        "PENSTOCK_RESUME_FROM": str(tmp_path / "checkpoints" / "7"),
    }


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def with_params(params: str) -> Run:
    return run(environ={"PENSTOCK_PARAMS": params})


def test_on_the_platform_everything_comes_from_the_environment(
    platform: dict[str, str], tmp_path: Path
) -> None:
    with run(environ=platform) as job:
        assert job.params == {
            "learning_rate": 0.1,
            "max_iter": 40,
            "kind": "gbdt",
            "refit": False,
        }
        assert job.input("training") == tmp_path / "training.parquet"
        assert job.attempt == 2
        assert job.resume_from == tmp_path / "checkpoints" / "7"
        assert job.output_dir == tmp_path / "output"
        assert job.output_dir.is_dir()
        assert job.checkpoint_dir.is_dir()


def test_by_hand_everything_has_a_default_below_one_folder(tmp_path: Path) -> None:
    job = run(environ={}, directory=tmp_path / "penstock-run")
    assert job.params == {}
    assert job.attempt == 1
    assert job.resume_from is None
    assert job.output_dir == tmp_path / "penstock-run" / "output"
    assert job.checkpoint_dir == tmp_path / "penstock-run" / "checkpoints"
    job.log(auc=0.5)
    job.result(auc=0.5)
    assert lines(tmp_path / "penstock-run" / "metrics.jsonl")[0]["metrics"] == {"auc": 0.5}
    assert json.loads((tmp_path / "penstock-run" / "result.json").read_text()) == {
        "metrics": {"auc": 0.5}
    }
    job.close()


def test_a_script_that_changes_its_directory_still_writes_where_it_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    job = run(environ={})
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    job.result(auc=1)
    assert (tmp_path / "penstock-run" / "result.json").exists()


def test_the_command_line_is_read_only_if_asked_and_wins_over_the_environment(
    platform: dict[str, str], tmp_path: Path
) -> None:
    argv = ["--param", "learning_rate=1e-2", "--param", "note=late=no", "--input", "more=a/b"]
    job = run(argv=[*argv, "--run-dir", str(tmp_path / "mine")], environ=platform)
    assert job.param("learning_rate", 0.5) == 0.01
    assert job.param("note", "") == "late=no"
    assert job.param("max_iter", 1) == 40
    assert job.inputs["more"] == Path("a/b")
    assert run(environ={}).params == {}
    by_hand = run(argv=["--run-dir", str(tmp_path / "mine")], environ={})
    assert by_hand.output_dir == tmp_path / "mine" / "output"


def test_a_command_line_that_is_not_name_and_value_ends_with_a_usage_message(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        run(argv=["--param", "learning_rate"], environ={})
    assert "--param learning_rate: write it as --param name=value" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "default", "expected"),
    [
        ("1", 0.5, 1.0),
        ("31.0", 5, 31),
        ("31", 5, 31),
        ('"a"', "b", "a"),
        ("3", "b", "3"),
        ("false", True, False),
        ("[1, 2]", None, [1, 2]),
    ],
)
def test_a_parameter_takes_the_type_of_its_default(
    given: str, default: object, expected: object
) -> None:
    value = with_params(f'{{"p": {given}}}').param("p", default)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("given", "default"), [("31.5", 5), ('"fast"', 0.1), ("1", True), ("true", 3), ("null", 0.1)]
)
def test_a_parameter_that_does_not_fit_its_default_is_refused_by_name(
    given: str, default: object
) -> None:
    with pytest.raises(RunError, match=f"parameter 'p' is .* expects {type(default).__name__}"):
        with_params(f'{{"p": {given}}}').param("p", default)


def test_a_missing_parameter_or_input_says_what_was_given_and_how_to_give_it() -> None:
    job = with_params('{"rate": 1}')
    with pytest.raises(RunError, match=r"parameter 'depth' .*--param depth=VALUE; given are rate"):
        job.param("depth")
    with pytest.raises(RunError, match=r"input 'training' .*--input training=PATH; given are none"):
        job.input("training")
    with pytest.raises(RunError, match="there is nothing at"):
        job.input("training", default="no/such.parquet")


@pytest.mark.parametrize("text", ["{", "[1]", "3"])
def test_parameters_that_are_no_json_object_are_refused_by_the_variable_name(text: str) -> None:
    with pytest.raises(RunError, match="PENSTOCK_PARAMS"):
        with_params(text)


def test_each_log_is_one_json_line_and_an_earlier_attempts_lines_stay(
    platform: dict[str, str],
) -> None:
    path = Path(platform["PENSTOCK_METRICS"])
    path.write_text('{"time": 1.0, "step": 1, "metrics": {"auc": 0.1}}\n')
    with run(environ=platform) as job:
        job.log(step=np.int64(20), auc=np.float32(0.5), rows=3)
        job.log(auc=0.75)
    _, first, second = lines(path)
    assert first["step"] == 20
    assert first["metrics"] == {"auc": 0.5, "rows": 3}
    assert isinstance(first["time"], float)
    assert second["step"] is None
    assert second["metrics"] == {"auc": 0.75}


def test_by_hand_a_report_is_also_printed_and_a_new_run_starts_afresh(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for auc in (0.5, 0.75):
        with run(environ={}, directory=tmp_path) as job:
            job.log(step=1, auc=auc)
    assert capsys.readouterr().out == "step 1: auc=0.5\nstep 1: auc=0.75\n"
    assert [line["metrics"] for line in lines(tmp_path / "metrics.jsonl")] == [{"auc": 0.75}]


def test_a_metric_that_is_no_finite_number_is_left_out_of_a_log_and_said_once(
    platform: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with run(environ=platform) as job:
        for _ in range(2):
            job.log(step=1, auc=0.5, loss=float("nan"), grad=float("inf"), note="9", many=[1])
        job.log(step="one", loss=float("nan"))  # type: ignore[arg-type]
    written = lines(Path(platform["PENSTOCK_METRICS"]))
    assert [line["metrics"] for line in written] == [{"auc": 0.5}] * 2
    said = capsys.readouterr().err
    assert said.count("metric 'loss' is left out: nan is not a finite number") == 1
    for name in ("'grad'", "'note'", "'many'", "step 'one'"):
        assert said.count(name) == 1


def test_a_metrics_file_that_cannot_be_written_never_stops_the_training(
    platform: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    with run(environ=platform | {"PENSTOCK_METRICS": str(tmp_path / "file" / "m")}) as job:
        job.log(auc=0.5)
        job.log(auc=0.6)
    assert capsys.readouterr().err.count("metrics are not written") == 1


def test_lines_from_many_threads_do_not_mix(platform: dict[str, str]) -> None:
    with run(environ=platform) as job:
        job.log(step=0, **{f"metric_{n}": n for n in range(100)})
        threads = [
            threading.Thread(target=lambda: [job.log(step=s, auc=0.5) for s in range(200)])
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(lines(Path(platform["PENSTOCK_METRICS"]))) == 801


def test_results_add_up_and_are_whole_at_any_moment(platform: dict[str, str]) -> None:
    path = Path(platform["PENSTOCK_RESULT"])
    job = run(environ=platform)
    job.result(auc=np.float64(0.75), rows=10)
    before = path.open()
    job.result(auc=0.8, loss=0.5)
    assert json.load(before) == {"metrics": {"auc": 0.75, "rows": 10}}
    before.close()
    assert json.loads(path.read_text()) == {"metrics": {"auc": 0.8, "rows": 10, "loss": 0.5}}
    assert [p.name for p in path.parent.iterdir() if p.name.startswith("result")] == ["result.json"]


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), "0.5", None])
def test_a_result_that_is_no_finite_number_fails_the_run(
    platform: dict[str, str], value: object
) -> None:
    with pytest.raises(RunError, match="result metric 'auc'"):
        run(environ=platform).result(auc=value)
    assert not Path(platform["PENSTOCK_RESULT"]).exists()


def test_an_exception_in_the_block_is_not_swallowed(platform: dict[str, str]) -> None:
    with pytest.raises(ZeroDivisionError), run(environ=platform):
        _ = 1 / 0


def test_a_script_that_asks_is_told_to_stop_and_gives_the_signal_back_at_its_end() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    mine = signal.getsignal(signal.SIGTERM)
    try:
        with run(environ={}) as job:
            assert not job.should_stop()
            os.kill(os.getpid(), signal.SIGTERM)
            assert job.should_stop()
        assert heard == [signal.SIGTERM], "a framework's own handler hears it as well"
        assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_script_that_never_asks_is_ended_by_sigterm_at_once() -> None:
    script = "import os, signal\nfrom penstock.training import run\nwith run():\n"
    script += "    os.kill(os.getpid(), signal.SIGTERM)\n    print('still here')\n"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == -signal.SIGTERM
    assert done.stdout == b""


def test_importing_the_api_loads_nothing_outside_the_standard_library() -> None:
    script = "import sys, penstock; print(*{m.partition('.')[0] for m in sys.modules})"
    # -S: no site-packages, hence none of what start-up hooks of other packages import.
    source = Path(__file__).resolve().parents[1] / "src"
    done = subprocess.run(
        [sys.executable, "-S", "-c", script],
        capture_output=True,
        check=True,
        text=True,
        env={"PYTHONPATH": str(source)},
    )
    loaded = {name for name in done.stdout.split() if not name.startswith(("_", "__"))}
    assert loaded - set(sys.stdlib_module_names) == {"penstock"}
    assert "argparse" not in loaded


def test_metrics_are_reported_by_name_and_as_a_mapping(tmp_path: Path) -> None:
    with run(environ={}, directory=tmp_path) as one:
        one.log_metric("val/auc", 0.7, step=2)
        one.report({"loss": 0.5, "step": 9, "self": 1}, step=3)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(line["step"], line["metrics"]) for line in lines] == [
        (2, {"val/auc": 0.7}),
        (3, {"loss": 0.5}),
    ]
