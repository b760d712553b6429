from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from penstock_chassis.embedded import (
    Backoff,
    DataDir,
    EmbeddedError,
    ManagedProcess,
    UnexpectedExit,
    logfile,
)

SHELL = Path("/bin/sh")
Until = Callable[[Callable[[], bool]], Awaitable[None]]
QUICK = Backoff(first_seconds=0.01, max_seconds=0.02, max_quick_failures=3)


def child(tmp_path: Path, script: str, **options: object) -> ManagedProcess:
    return ManagedProcess(
        "child",
        [SHELL, "-c", script],
        log_path=tmp_path / "child.log",
        **options,  # type: ignore[arg-type]
    )


async def test_output_goes_to_the_log_and_a_stop_is_orderly(tmp_path: Path, until: Until) -> None:
    process = child(
        tmp_path, "trap 'echo bye; exit 0' TERM; echo hello; while :; do sleep 0.01; done"
    )
    await process.start()
    await until(lambda: "hello" in process.log_tail())
    stopped = await process.stop(grace_seconds=5)
    assert stopped is not None
    assert (stopped.returncode, stopped.killed) == (0, False)
    assert process.log_tail() == "hello\nbye"
    assert process.pid is None
    assert await process.stop() is None, "a second stop has nothing to do"


async def test_a_child_that_ignores_sigterm_is_killed_with_its_own_children(
    tmp_path: Path, gone_within: Callable[[int, float], bool], until: Until
) -> None:
    process = child(tmp_path, "trap '' TERM; sleep 60 & echo pid=$!; while :; do sleep 0.01; done")
    await process.start()
    await until(lambda: "pid=" in process.log_tail())
    grandchild = int(process.log_tail().split("=")[1])
    stopped = await process.stop(grace_seconds=0.1)
    assert stopped is not None
    assert (stopped.returncode, stopped.killed) == (-signal.SIGKILL, True)
    assert gone_within(grandchild, 5)


async def test_an_unexpected_exit_is_reported_with_the_last_words(tmp_path: Path) -> None:
    reports: list[UnexpectedExit] = []
    process = child(tmp_path, "echo out of cheese >&2; exit 7", on_exit=reports.append)
    await process.start()
    report = await asyncio.wait_for(process.failed(), 5)
    assert (report.returncode, report.log_tail) == (7, "out of cheese")
    assert report.restarts_in_seconds is None
    assert "ended with status 7" in str(report)
    await process.wait()
    await asyncio.sleep(0)
    assert reports == [report]


async def test_a_killed_child_is_started_again(tmp_path: Path, until: Until) -> None:
    reports: list[UnexpectedExit] = []
    process = child(tmp_path, "echo up; exec sleep 60", restart=True, on_exit=reports.append)
    await process.start()
    process.mark_ready()
    await until(lambda: "up" in process.log_tail())
    first = process.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    async with asyncio.timeout(1):
        await until(lambda: process.restarts == 1)
        await until(lambda: "up" in process.log_tail())
    assert process.pid not in (None, first)
    await process.stop()
    assert [r.returncode for r in reports] == [-signal.SIGKILL]
    assert "SIGKILL" in str(reports[0])


async def test_a_child_that_was_never_ready_is_not_restarted(tmp_path: Path) -> None:
    process = child(tmp_path, "exit 1", restart=True)
    await process.start()
    assert (await asyncio.wait_for(process.failed(), 5)).returncode == 1
    assert process.restarts == 0


async def test_restarts_are_bounded(tmp_path: Path) -> None:
    reports: list[UnexpectedExit] = []
    process = child(tmp_path, "exit 1", restart=True, backoff=QUICK, on_exit=reports.append)
    await process.start()
    process.mark_ready()
    await asyncio.wait_for(process.failed(), 10)
    assert process.restarts == QUICK.max_quick_failures
    await asyncio.sleep(0)
    assert [r.restarts_in_seconds for r in reports] == [0.01, 0.02, 0.02, None]


async def test_a_stop_during_the_back_off_ends_the_supervision_at_once(tmp_path: Path) -> None:
    exited = asyncio.Event()
    slow = Backoff(first_seconds=60, max_seconds=60)
    process = child(tmp_path, "exit 1", restart=True, backoff=slow, on_exit=lambda _: exited.set())
    await process.start()
    process.mark_ready()
    await asyncio.wait_for(exited.wait(), 5)
    async with asyncio.timeout(5):
        await process.stop()
    assert process.restarts == 0


async def test_ctrl_c_in_the_terminal_does_not_reach_the_child(tmp_path: Path) -> None:
    process = child(tmp_path, "echo up; exec sleep 60")
    await process.start()
    assert process.pid is not None
    assert os.getsid(process.pid) == process.pid != os.getsid(0)
    await process.stop()


async def test_a_program_that_is_not_there_is_refused(tmp_path: Path) -> None:
    process = ManagedProcess("child", [tmp_path / "absent"], log_path=tmp_path / "log")
    with pytest.raises(EmbeddedError, match="child could not be started"):
        await process.start()


async def test_an_overlong_log_is_set_aside_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logfile, "MAX_LOG_BYTES", 10)
    (tmp_path / "child.log").write_text("what the last run said\n")
    process = child(tmp_path, "echo new")
    await process.start()
    await process.wait()
    assert (tmp_path / "child.log").read_text() == "new\n"
    assert (tmp_path / "child.log.1").read_text() == "what the last run said\n"
    assert (tmp_path / "child.log").stat().st_mode & 0o777 == 0o600


async def test_the_child_is_on_record_while_it_runs(directory: DataDir) -> None:
    process = child(directory.logs, "exec sleep 60", children=directory.children)
    await process.start()
    assert directory.children.read()["child"].pid == process.pid
    await process.stop()
    assert directory.children.read() == {}


def test_a_launcher_whose_parent_is_gone_starts_nothing(tmp_path: Path) -> None:
    from penstock_chassis.embedded.process import LAUNCHER

    marker = tmp_path / "started"
    not_our_pid = os.getppid()
    done = subprocess.run(
        [sys.executable, "-I", "-S", LAUNCHER, str(not_our_pid), "9", "/bin/touch", marker],
        check=False,
    )
    assert done.returncode == 126
    assert not marker.exists()


PARENT = """
import asyncio, sys
from pathlib import Path
from penstock_chassis.embedded import DataDir, EmbeddedNats, EmbeddedObjects

async def main():
    directory = DataDir(Path(sys.argv[1]))
    with directory.locked():
        async with EmbeddedNats(directory) as nats, EmbeddedObjects(directory) as objects:
            print(nats.process.pid, objects.process.pid, flush=True)
            await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_the_servers_die_with_a_parent_that_is_sigkilled_and_its_lock_is_free(
    tmp_path: Path, gone_within: Callable[[int, float], bool]
) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    pids = [int(pid) for pid in (await parent.stdout.readline()).split()]
    assert len(pids) == 2
    parent.kill()
    await parent.wait()
    assert all(gone_within(pid, 2) for pid in pids)
    with DataDir(tmp_path).locked() as ended:
        assert ended == [], "the kernel had ended both already"
