"""Finding and ending processes by their mark, and never a stranger."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from penstock_trainer.runner import ATTEMPT_ID_VARIABLE
from penstock_trainer.runner.procfs import descendants, is_alive, kill_members, look, members, send

SAY_AND_SLEEP = "import sys; print('ready', flush=True); sys.stdin.read()"


def sleeper(attempt_id: str | None) -> subprocess.Popen[str]:
    environment = {ATTEMPT_ID_VARIABLE: attempt_id} if attempt_id else {}
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", SAY_AND_SLEEP],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def close(process: subprocess.Popen[str]) -> int:
    process.kill()
    process.communicate()
    return process.returncode


def test_only_the_processes_of_the_attempt_are_ended():
    # The second's id begins with the first's: a search in the text would find both.
    mine, other, stranger = sleeper("ns/job/1"), sleeper("ns/job/12"), sleeper(None)
    try:
        assert [process.pid for process in members("ns/job/1")] == [mine.pid]
        assert kill_members("ns/job/1", 5.0) == []
        assert mine.wait() == -signal.SIGKILL
        assert other.poll() is None
        assert stranger.poll() is None
    finally:
        for process in (mine, other, stranger):
            close(process)


def test_a_zombie_is_no_living_process():
    process = sleeper(None)
    seen = look(process.pid)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert look(process.pid) is not None
    assert not is_alive(process.pid, seen.start_ticks)
    close(process)


def test_a_signal_for_an_earlier_process_of_the_same_pid_is_not_sent():
    process = sleeper(None)
    seen = look(process.pid)
    assert not send(process.pid, seen.start_ticks - 1, signal.SIGKILL)
    assert process.poll() is None
    assert send(process.pid, seen.start_ticks, signal.SIGTERM)
    assert process.wait() == -signal.SIGTERM
    close(process)
    assert not send(process.pid, seen.start_ticks, signal.SIGKILL)


def test_descendants_are_found_through_every_generation():
    process = sleeper(None)
    try:
        assert process.pid in {found.pid for found in descendants(os.getpid())}
        assert process.pid in {found.pid for found in descendants(os.getppid())}
        assert descendants(process.pid) == []
    finally:
        close(process)
