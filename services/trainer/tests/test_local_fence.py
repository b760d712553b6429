"""No attempt starts twice, no two attempts of a job overlap: real processes, real kills."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from penstock_trainer.adapters.local import LocalLauncher
from penstock_trainer.adapters.local.waiting import process_end
from penstock_trainer.errors import NotYetGone, StartFailed
from penstock_trainer.ports import AttemptSpec, AttemptState
from penstock_trainer.runner.procfs import Process, look, members, processes

CONCURRENT_STARTS = 50
TRAINERS = 5
MAX_STEPS = 200
"""More steps than any runner takes: the crash test ends long before."""
STEPS_AT_ONCE = 4

APPEND_A_LINE = (
    'import os; os.write(os.open("{file}", os.O_WRONLY | os.O_APPEND | os.O_CREAT), b"x")'
)


def counting_spec(file: Path, job: str = "job-1", attempt: int = 1) -> AttemptSpec:
    """An attempt whose script leaves one byte in `file` each time that it starts."""
    return AttemptSpec("tests", job, attempt, ("python", "-c", APPEND_A_LINE.format(file=file)))


async def start_at_once(launchers: list[LocalLauncher], spec: AttemptSpec) -> None:
    """Start the same attempt from several trainers, many times at once, and see it end."""
    calls = [launchers[n % len(launchers)].start(spec) for n in range(CONCURRENT_STARTS)]
    for outcome in await asyncio.gather(*calls, return_exceptions=True):
        assert outcome is None, outcome
    await asyncio.wait_for(launchers[0].watch(spec.id), 20)


def mentions(process: Process, text: str) -> bool:
    """Whether a process has the text in its command line."""
    try:
        return text in Path(f"/proc/{process.pid}/cmdline").read_text()
    except OSError:
        return False


async def all_runners_gone(directory: Path) -> None:
    """Wait for every process that has the directory in its command line, known to us or not."""
    for process in processes():
        if mentions(process, str(directory)):
            await asyncio.wait_for(process_end(process.pid, process.start_ticks), 20)


async def test_fifty_starts_at_once_from_five_trainers_start_one_script(tmp_path):
    spec = counting_spec(tmp_path / "starts")
    await start_at_once([LocalLauncher(tmp_path / "jobs") for _ in range(TRAINERS)], spec)
    await all_runners_gone(tmp_path)
    assert (tmp_path / "starts").read_text() == "x"


async def test_without_lock_and_claim_the_same_check_sees_double_starts(tmp_path, programs):
    """The control: a check that could not fail would prove nothing."""
    command = (sys.executable, str(programs / "unfenced_runner.py"), "--detach")
    unfenced = [LocalLauncher(tmp_path / "jobs", runner_command=command) for _ in range(TRAINERS)]
    await start_at_once(unfenced, counting_spec(tmp_path / "starts"))
    await all_runners_gone(tmp_path)
    assert len((tmp_path / "starts").read_text()) > 1


async def test_a_killed_trainer_leaves_the_script_running_and_the_next_one_finds_it(
    local, programs
):
    trainer = await asyncio.create_subprocess_exec(
        *(sys.executable, str(programs / "trainer.py")),
        *(str(local.root), str(programs / "puppet.py"), str(local.stage.port)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert await trainer.stdout.readline() == b"started\n"
    trainer.send_signal(signal.SIGKILL)
    await trainer.wait()
    spec = local.spec()
    assert (await local.launcher.observe(spec.id)).state is AttemptState.RUNNING
    await local.launcher.start(spec)
    with pytest.raises(NotYetGone):
        await local.launcher.start(local.spec(2))
    watch = asyncio.create_task(local.launcher.watch(spec.id))
    await local.end(spec.id, code=7)
    assert (await asyncio.wait_for(watch, 20)).record.exit_code == 7
    assert local.stage.starts(spec.id) == 1


async def test_an_end_that_came_while_no_trainer_lived_is_found_later(local):
    spec = local.spec()
    await LocalLauncher(local.root).start(spec)
    runner = look(local.runner_pid(spec.id))
    await local.write_result(spec.id, '{"metrics": {"auc": 0.7}}')
    await local.end(spec.id)
    await asyncio.wait_for(process_end(runner.pid, runner.start_ticks), 20)
    later = LocalLauncher(local.root)
    assert (await later.observe(spec.id)).record.succeeded
    assert (await later.collect(spec.id)).result == {"metrics": {"auc": 0.7}}


async def test_a_trainer_killed_between_any_two_steps_of_a_start_starts_it_once(tmp_path, programs):
    source = tmp_path / "data.txt"
    source.write_text("content")
    trainers = await asyncio.create_subprocess_exec(
        *(sys.executable, str(programs / "interrupted_trainer.py"), str(tmp_path / "jobs")),
        *(str(source), *counting_spec(tmp_path / "starts-STEP").command),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await asyncio.wait_for(trainers.communicate(), 60)
    kills = int(output)
    assert kills > 15
    restarted = LocalLauncher(tmp_path / "jobs")
    for step in range(1, kills + 2):
        file = tmp_path / f"starts-{step}"
        spec = replace(counting_spec(file, f"job-{step}"), files=(("data.txt", source),))
        await restarted.start(spec)
        seen = await asyncio.wait_for(restarted.watch(spec.id), 20)
        assert seen.record is not None, f"killed before step {step}: {seen}"
        assert seen.record.succeeded, f"killed before step {step}: {seen}"
        assert file.read_text() == "x", f"killed before step {step}"


async def test_a_runner_killed_before_any_of_its_steps_starts_the_script_at_most_once(
    tmp_path, programs
):
    async def kill_before(step: int) -> AttemptState:
        command = (sys.executable, str(programs / "interrupted_runner.py"), str(step), "--detach")
        file = tmp_path / f"starts-{step}"
        spec = counting_spec(file, job=f"job-{step}")
        failed = False
        try:
            await LocalLauncher(tmp_path / "jobs", runner_command=command).start(spec)
        except StartFailed:
            failed = True
        later = LocalLauncher(tmp_path / "jobs")
        seen = await asyncio.wait_for(later.watch(spec.id), 20)
        # A start fails if, and only if, nothing was claimed: else the attempt is on the books.
        assert failed == (seen.state is AttemptState.ABSENT), f"killed before step {step}"
        if seen.state is AttemptState.ABSENT:
            assert not file.exists()
        # Whatever came of the attempt: it, or the next one, can be run to its end.
        following = spec
        if seen.ended:
            following = counting_spec(tmp_path / f"next-{step}", spec.job, attempt=2)
        await later.start(following)
        assert (await asyncio.wait_for(later.watch(following.id), 20)).record.succeeded
        assert not file.exists() or file.read_text() == "x", f"killed before step {step}"
        return seen.state

    ends: list[AttemptState] = []
    while ends[-2:] != [AttemptState.EXITED] * 2 and len(ends) < MAX_STEPS:
        batch = range(len(ends) + 1, len(ends) + 1 + STEPS_AT_ONCE)
        ends += await asyncio.gather(*(kill_before(step) for step in batch))
    # Dead before the claim, between claim and exit record, and after it.
    assert ends[0] is AttemptState.ABSENT
    assert set(ends) == {AttemptState.ABSENT, AttemptState.LOST, AttemptState.EXITED}


async def test_orphans_of_a_killed_runner_are_ended_before_it_is_called_lost(local):
    spec = local.spec()
    await local.launcher.start(spec)
    script = await local.stage.actor(spec.id)
    await script.do("spawn", role="worker")
    worker = await local.stage.actor(spec.id, "worker")
    os.kill(local.runner_pid(spec.id), signal.SIGKILL)
    seen = await asyncio.wait_for(local.launcher.watch(spec.id), 20)
    assert seen.state is AttemptState.LOST
    for pid in (script.pid, worker.pid):
        process = look(pid)
        assert process is None or not process.alive
    await worker.gone()
    await script.gone()


async def test_the_next_attempt_ends_the_orphans_of_a_lost_one_before_it_starts(local):
    first, second = local.spec(1), local.spec(2)
    await local.launcher.start(first)
    script = await local.stage.actor(first.id)
    await script.do("spawn", role="worker")
    worker = await local.stage.actor(first.id, "worker")
    identity = (local.directory(first.id) / "runner.json").read_text()
    await local.lose(first.id)
    await script.gone()  # the rank ends with its runner; its worker does not
    assert look(worker.pid).alive
    await local.launcher.start(second)
    assert not (look(worker.pid) and look(worker.pid).alive)
    assert members(json.loads(identity)["attempt_id"]) == []
    assert (await local.launcher.observe(first.id)).state is AttemptState.LOST
    await worker.gone()


async def test_orphans_that_do_not_die_keep_the_next_attempt_waiting(local, monkeypatch):
    spec = local.spec()
    await local.launcher.start(spec)
    await local.starts(spec.id)
    await local.lose(spec.id)
    with monkeypatch.context() as patches:
        patches.setattr("penstock_trainer.adapters.local.judge.kill_members", lambda *_: [4194303])
        with pytest.raises(NotYetGone, match=r"4194303.* do not die"):
            await local.launcher.start(local.spec(2))
        seen = await local.launcher.observe(spec.id)
        assert seen.state is AttemptState.RUNNING
        assert "4194303" in seen.why
    assert (await local.launcher.observe(spec.id)).state is AttemptState.LOST


async def test_a_restart_of_the_machine_loses_the_attempt_and_says_so(local, monkeypatch):
    spec = local.spec()
    await local.launcher.start(spec)
    await local.lose(spec.id)
    monkeypatch.setattr("penstock_trainer.adapters.local.judge.boot_id", lambda: "another")
    seen = await asyncio.wait_for(local.launcher.watch(spec.id), 20)
    assert "the machine restarted" in seen.why
