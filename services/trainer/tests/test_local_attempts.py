"""What a local attempt is given, and how it ends: real processes."""

from __future__ import annotations

import asyncio
import json
import signal
import sys

import pytest

from penstock_trainer.adapters.local import LocalLauncher
from penstock_trainer.errors import InvalidAttempt, StartFailed
from penstock_trainer.ports import AttemptSpec, AttemptState
from penstock_trainer.runner import ALREADY_CLAIMED, BAD_SPEC, LOCKED, SUPERSEDED
from penstock_trainer.runner.procfs import look


async def run_to_end(launcher, spec):
    await launcher.start(spec)
    return (await asyncio.wait_for(launcher.watch(spec.id), 20)).record


def shell(script: str, **details) -> AttemptSpec:
    return AttemptSpec("tests", "job-1", 1, ("sh", "-c", script), **details)


async def test_a_script_finds_its_contract_in_the_environment(local, tmp_path, monkeypatch):
    monkeypatch.setenv("NATS_PASSWORD", "platform's own")
    data = tmp_path / "data.parquet"
    data.write_text("rows")
    spec = local.spec(
        params={"learning_rate": 0.1},
        inputs={"features": data},
        env={"COLOUR": "blue"},
        cpu_threads=2,
        gpu_indices=(1, 3),
    )
    await local.launcher.start(spec)
    seen = await (await local.stage.actor(spec.id)).do("environment")
    assert json.loads(seen["PENSTOCK_PARAMS"])["learning_rate"] == 0.1
    assert json.loads(seen["PENSTOCK_INPUTS"]) == {"features": str(data)}
    told = {name: seen[f"PENSTOCK_{name}"] for name in ("JOB", "NAMESPACE", "ATTEMPT", "RANK")}
    assert told == {"JOB": "job-1", "NAMESPACE": "tests", "ATTEMPT": "1", "RANK": "0"}
    assert seen["PENSTOCK_WORLD_SIZE"] == "1"
    assert seen["PENSTOCK_ATTEMPT_ID"].startswith("tests/job-1/1/")
    assert seen["COLOUR"] == "blue"
    assert (seen["OMP_NUM_THREADS"], seen["CUDA_VISIBLE_DEVICES"]) == ("2", "1,3")
    assert "PENSTOCK_RESUME_FROM" not in seen
    assert "NATS_PASSWORD" not in seen


async def test_files_are_placed_in_a_fresh_working_directory(local, tmp_path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "model.py").write_text("code")
    files = (("deep/lib", tmp_path / "lib"), ("one.py", tmp_path / "lib" / "model.py"))
    record = await run_to_end(
        local.launcher, shell('[ "$(cat deep/lib/model.py one.py)" = codecode ]', files=files)
    )
    assert record.succeeded


async def test_a_missing_file_or_input_is_refused_and_nothing_is_made(local, tmp_path):
    missing = tmp_path / "missing"
    with pytest.raises(InvalidAttempt, match=r"files: the source of 'a\.py' is missing"):
        await local.launcher.start(shell("true", files=(("a.py", missing),)))
    with pytest.raises(InvalidAttempt, match="inputs: 'data' is missing"):
        await local.launcher.start(shell("true", inputs={"data": missing}))
    assert await local.launcher.attempts() == ()


async def test_checkpoints_are_kept_for_the_next_attempt_which_is_told(local):
    first, second = local.spec(1), local.spec(2)
    await local.launcher.start(first)
    script = await local.stage.actor(first.id)
    await script.do("checkpoint", name="step-5", text="weights")
    await local.end(first.id, code=1)
    await local.launcher.watch(first.id)
    await local.launcher.start(second)
    seen = await (await local.stage.actor(second.id)).do("environment")
    assert seen["PENSTOCK_RESUME_FROM"] == seen["PENSTOCK_CHECKPOINT_DIR"]
    again = await local.stage.actor(second.id)
    assert await again.do("read", name=f"{seen['PENSTOCK_RESUME_FROM']}/step-5") == "weights"


async def test_the_output_directory_is_collected_with_its_files(local):
    spec = local.spec()
    await local.launcher.start(spec)
    await (await local.stage.actor(spec.id)).do("output", name="model.bin", text="m")
    await local.end(spec.id)
    await local.launcher.watch(spec.id)
    collected = await local.launcher.collect(spec.id)
    assert (collected.output_dir / "model.bin").read_text() == "m"
    assert [path.name for path in collected.log_paths] == ["rank-0.log"]


async def test_a_command_that_does_not_exist_ends_the_attempt_with_that_reason(local):
    record = await run_to_end(
        local.launcher, AttemptSpec("tests", "job-1", 1, ("no-such-program", "x"))
    )
    assert record.exit_code == 127
    assert record.reason == "cannot start 'no-such-program': No such file or directory"
    log = await local.launcher.log(AttemptSpec("tests", "job-1", 1, ("x",)).id)
    assert b"cannot start 'no-such-program'" in log.data


async def test_what_a_script_leaves_in_the_background_ends_with_it(local):
    spec = local.spec()
    await local.launcher.start(spec)
    script = await local.stage.actor(spec.id)
    await script.do("spawn", role="daemon")
    daemon = await local.stage.actor(spec.id, "daemon")
    await local.end(spec.id)
    record = (await asyncio.wait_for(local.launcher.watch(spec.id), 20)).record
    assert record.succeeded
    assert look(daemon.pid) is None
    await daemon.gone()


async def test_a_daemon_with_a_wiped_environment_does_not_escape_its_runner(local):
    spec = local.spec()
    await local.launcher.start(spec)
    await (await local.stage.actor(spec.id)).do("spawn", role="hidden", wiped=True)
    hidden = await local.stage.actor(spec.id, "hidden")
    await local.end(spec.id)
    await asyncio.wait_for(local.launcher.watch(spec.id), 20)
    assert look(hidden.pid) is None


async def test_a_stop_kills_the_whole_tree_after_the_grace(local):
    spec = local.spec()
    await local.launcher.start(spec)
    script = await local.stage.actor(spec.id)
    await script.do("ignore-sigterm")
    await script.do("spawn", role="worker")
    worker = await local.stage.actor(spec.id, "worker")
    await worker.do("ignore-sigterm")
    await local.launcher.signal_stop(spec.id, 0.1)
    record = (await asyncio.wait_for(local.launcher.watch(spec.id), 20)).record
    assert (record.signal, record.stop_requested) == (signal.SIGKILL, True)
    assert record.reason == "stopped on request: SIGKILL after the grace of 0.1 s"
    assert look(worker.pid) is None


async def test_after_a_stop_exit_code_0_is_no_success(local):
    spec = local.spec()
    await local.launcher.start(spec)
    await (await local.stage.actor(spec.id)).do("end-well-at-sigterm")
    await local.launcher.signal_stop(spec.id)
    record = (await asyncio.wait_for(local.launcher.watch(spec.id), 20)).record
    assert (record.exit_code, record.stop_requested, record.succeeded) == (0, True, False)


async def test_a_more_urgent_stop_shortens_the_grace(local):
    spec = local.spec(grace_seconds=3600)
    await local.launcher.start(spec)
    await (await local.stage.actor(spec.id)).do("ignore-sigterm")
    await local.launcher.signal_stop(spec.id)
    await local.launcher.signal_stop(spec.id, 0.1)
    record = (await asyncio.wait_for(local.launcher.watch(spec.id), 20)).record
    assert record.signal == signal.SIGKILL


async def test_the_child_of_a_shell_gets_its_own_sigterm_and_the_grace(local, programs):
    # The shell dies of SIGTERM at once; python below it needs a moment for its last words.
    spec = local.spec(command=("sh", "-c", f"python {programs / 'puppet.py'}; true"))
    await local.launcher.start(spec)
    script = await local.stage.actor(spec.id)
    await script.do("end-well-at-sigterm")
    await local.launcher.signal_stop(spec.id, 3600)
    record = (await asyncio.wait_for(local.launcher.watch(spec.id), 20)).record
    assert record.stop_requested
    assert "within the grace" in record.reason


async def test_a_stop_between_preparation_and_start_runs_no_script(local, monkeypatch):
    spec = shell("true")
    with monkeypatch.context() as patches:
        patches.setattr(LocalLauncher, "_run_runner", lambda *_: None)
        await local.launcher.start(spec)
    assert (await local.launcher.observe(spec.id)).state is AttemptState.ABSENT
    await local.launcher.signal_stop(spec.id, reason="cancelled")
    record = await run_to_end(local.launcher, spec)
    assert record.reason == "stopped on request before it started (cancelled)"
    assert (record.exit_code, record.stop_requested, record.ranks) == (None, True, ())


async def test_a_flood_of_output_is_cut_in_the_middle_with_a_note(tmp_path):
    launcher = LocalLauncher(tmp_path, log_limit_bytes=20_000)
    script = "echo first; seq -w 1 99999; echo last words"
    record = await run_to_end(launcher, shell(script))
    assert record.succeeded
    log = (await launcher.log(shell("true").id)).data
    assert len(log) < 20_300
    assert log.startswith(b"first\n00001\n")
    assert log.endswith(b"99999\nlast words\n")
    dropped = len("first\n" + "last words\n") + 6 * 99999 - 20_000
    assert f"[penstock: {dropped} bytes were dropped here]".encode() in log


async def test_both_streams_of_every_rank_are_kept_apart_by_rank(local):
    script = "echo out $PENSTOCK_RANK of $PENSTOCK_WORLD_SIZE; echo err $PENSTOCK_RANK >&2"
    spec = shell(script, ranks=2)
    assert (await run_to_end(local.launcher, spec)).succeeded
    for rank in (0, 1):
        log = await local.launcher.log(spec.id, rank=rank)
        assert log.data == f"out {rank} of 2\nerr {rank}\n".encode()


async def test_when_one_rank_fails_the_others_end_and_the_first_failure_is_told(local):
    spec = local.spec(ranks=2)
    await local.launcher.start(spec)
    await local.stage.actor(spec.id, rank=0)
    await (await local.stage.actor(spec.id, rank=1)).do("exit", code=5)
    record = (await asyncio.wait_for(local.launcher.watch(spec.id), 20)).record
    assert (record.exit_code, record.reason) == (5, "rank 1 exited with code 5")
    assert [(rank.exit_code, rank.signal) for rank in record.ranks] == [
        (None, signal.SIGTERM),
        (5, None),
    ]


async def test_a_runner_that_cannot_come_up_is_a_clear_error(local, tmp_path):
    with pytest.raises(StartFailed, match="did not come up"):
        await LocalLauncher(tmp_path, runner_command=("/no/such/runner",)).start(shell("true"))
    broken = LocalLauncher(tmp_path, runner_command=("sh", "-c", "echo broken >&2; exit 1"))
    with pytest.raises(StartFailed, match="code 1: broken"):
        await broken.start(shell("true"))
    # Nothing was claimed, so the attempt can still be started by a runner that works.
    assert (await run_to_end(LocalLauncher(tmp_path), shell("true"))).succeeded


async def run_runner(directory) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "penstock_trainer.runner", str(directory)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_in_the_foreground_the_runner_copies_the_output_and_mirrors_the_code(
    local, monkeypatch
):
    monkeypatch.setattr(LocalLauncher, "_run_runner", lambda *_: None)
    spec = shell("echo hello; exit 9")
    await local.launcher.start(spec)
    assert await run_runner(local.directory(spec.id)) == (9, "hello\n", "")


async def test_a_runner_that_may_not_start_says_why_and_touches_nothing(local):
    first = local.spec(1)
    await local.launcher.start(first)
    directory = local.directory(first.id)
    before = {path: path.stat().st_mtime_ns for path in directory.rglob("*")}
    code, _, message = await run_runner(directory)
    assert (code, "started before" in message) == (ALREADY_CLAIMED, True)
    assert {path: path.stat().st_mtime_ns for path in directory.rglob("*")} == before
    # As if a second attempt had been prepared while the first is alive, which start refuses.
    second = directory.with_name("2")
    second.mkdir()
    raw = json.loads((directory / "spec.json").read_text())
    (second / "spec.json").write_text(json.dumps({**raw, "attempt": 2}))
    code, _, message = await run_runner(second)
    assert (code, "another attempt of this job is alive" in message) == (LOCKED, True)
    assert [path.name for path in second.iterdir()] == ["spec.json"]
    (directory / "runner.json").rename(directory / "moved.json")
    code, _, message = await run_runner(directory)
    assert (code, "attempt 2 exists" in message) == (SUPERSEDED, True)
    (directory / "moved.json").rename(directory / "runner.json")
    (second / "spec.json").write_text("{}")
    code, _, message = await run_runner(second)
    assert (code, "lacks the field" in message) == (BAD_SPEC, True)
