"""Processes, looked at through /proc: who is alive, who belongs to an attempt, and their end.

A process is named by its pid *and* its start time, since pids are used again. Signals go through
a pidfd that is checked after it was opened, so that they never reach a stranger.

killpg is not enough to end an attempt: torchrun's workers, for one, are sessions of their own.
Instead every process of an attempt carries the attempt's id in its environment, which children
inherit. Known limit: a process that both wipes its environment and outlives its runner is not
found (the runner itself, being a subreaper, finds that one too).
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from penstock_trainer.runner import ATTEMPT_ID_VARIABLE

PROC: Final = Path("/proc")
KERNEL_THREAD_FLAG: Final = 0x00200000  # PF_KTHREAD, include/linux/sched.h
DEAD_STATES: Final = frozenset("ZXx")
EXEC_LOOKS: Final = 5
"""How often to look again at an environment that reads empty because an execve is under way."""
EMPTY_WALKS: Final = 2
"""Walks in a row that must find nothing: one may miss a process that forks while it looks."""
FALLBACK_POLL_SECONDS: Final = 0.02


class Process(NamedTuple):
    """One line of /proc/<pid>/stat. `start_ticks` is the start time in clock ticks since boot."""

    pid: int
    parent: int
    state: str
    flags: int
    start_ticks: int

    @property
    def alive(self) -> bool:
        """Whether it can still run code: a zombie cannot."""
        return self.state not in DEAD_STATES


def look(pid: int) -> Process | None:
    """Return the process with this pid, zombies included, or None."""
    try:
        line = (PROC / str(pid) / "stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command's name is in parentheses and may itself hold spaces and parentheses.
    fields = line[line.rindex(")") + 2 :].split()
    return Process(pid, int(fields[1]), fields[0], int(fields[6]), int(fields[19]))


def boot_id() -> str:
    """Return the id of this boot of the machine: start times mean nothing in another."""
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


def is_alive(pid: int, start_ticks: int) -> bool:
    """Whether the process that had this pid and start time still runs."""
    process = look(pid)
    return process is not None and process.alive and process.start_ticks == start_ticks


def processes() -> list[Process]:
    """Return every process that runs now, kernel threads and zombies left out."""
    found = (look(int(name)) for name in os.listdir(PROC) if name.isdigit())  # noqa: PTH208
    return [p for p in found if p and p.alive and not p.flags & KERNEL_THREAD_FLAG]


def descendants(root: int, among: Iterable[Process] | None = None) -> list[Process]:
    """Return the running processes below `root`, by parenthood."""
    everyone = processes() if among is None else list(among)
    children: dict[int, list[Process]] = {}
    for process in everyone:
        children.setdefault(process.parent, []).append(process)
    found: list[Process] = []
    stack = [root]
    while stack:
        below = children.get(stack.pop(), ())
        found.extend(below)
        stack.extend(process.pid for process in below)
    return found


def members(attempt_id: str) -> list[Process]:
    """Return the running processes of an attempt: those that carry its id, and all below them."""
    everyone = processes()
    found = {p.pid: p for p in everyone if _carries(p, attempt_id)}
    for pid in list(found):
        found.update((p.pid, p) for p in descendants(pid, everyone))
    found.pop(os.getpid(), None)
    return list(found.values())


def _carries(process: Process, attempt_id: str) -> bool:
    mark = f"{ATTEMPT_ID_VARIABLE}={attempt_id}".encode()
    for _ in range(EXEC_LOOKS):
        try:
            environment = (PROC / str(process.pid) / "environ").read_bytes()
        except (PermissionError, FileNotFoundError, ProcessLookupError):
            return False  # another user's, or gone
        if environment:
            return mark in environment.split(b"\0")
        # Empty while an execve swaps the memory in, and for good in a process that wiped it.
        os.sched_yield()
    return False


def send(process_pid: int, start_ticks: int, signal_number: int) -> bool:
    """Signal exactly that process. Returns False where it is gone."""
    try:
        descriptor = os.pidfd_open(process_pid)
    except ProcessLookupError:
        return False
    except OSError:  # a kernel or sandbox without pidfd
        return _send_by_pid(process_pid, start_ticks, signal_number)
    try:
        if not is_alive(process_pid, start_ticks):
            return False
        signal.pidfd_send_signal(descriptor, signal_number)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True


def _send_by_pid(pid: int, start_ticks: int, signal_number: int) -> bool:
    if not is_alive(pid, start_ticks):
        return False
    try:
        os.kill(pid, signal_number)
    except ProcessLookupError:
        return False
    return True


def kill_members(attempt_id: str, patience_seconds: float) -> list[int]:
    """SIGKILL an attempt's processes until none is left; return the pids that would not die.

    An empty answer is the proof that the attempt is gone.
    """
    deadline = time.monotonic() + patience_seconds
    empty_walks = 0
    while True:
        found = members(attempt_id)
        empty_walks = 0 if found else empty_walks + 1
        if empty_walks == EMPTY_WALKS:
            return []
        left_seconds = deadline - time.monotonic()
        if left_seconds <= 0 and found:
            return [process.pid for process in found]
        for process in found:
            send(process.pid, process.start_ticks, signal.SIGKILL)
        wait_for_end(found, max(left_seconds, 0.0))


def wait_for_end(waited: Iterable[Process], timeout_seconds: float) -> None:
    """Return when none of the processes runs any more, or after the timeout."""
    deadline = time.monotonic() + timeout_seconds
    for process in waited:
        left_seconds = max(deadline - time.monotonic(), 0.0)
        try:
            descriptor = os.pidfd_open(process.pid)
        except ProcessLookupError:
            continue
        except OSError:
            time.sleep(min(FALLBACK_POLL_SECONDS, left_seconds))
            continue
        try:
            if is_alive(process.pid, process.start_ticks):
                poller = select.poll()
                poller.register(descriptor, select.POLLIN)
                poller.poll(left_seconds * 1000)
        finally:
            os.close(descriptor)
