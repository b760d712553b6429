"""Which process is meant: a pid with its start time, so that a recycled pid is never mistaken.

A pid alone names whatever process has it now. On Linux the start time comes from field 22 of
/proc/<pid>/stat (clock ticks since boot) beside the boot's own id; elsewhere from `ps -o lstart=`.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

BOOT_ID_PATH = Path("/proc/sys/kernel/random/boot_id")
PS_TIMEOUT_SECONDS = 5.0
POLL_SECONDS = 0.02
"""Only where the kernel has no pidfd (before Linux 5.3, and outside Linux)."""


@dataclass(frozen=True)
class ProcessIdentity:
    """One process of one boot of this machine."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> ProcessIdentity | None:
        """The identity of the process that has this pid now; None where none has (or a zombie)."""
        started = _started(pid)
        return cls(pid, started) if started else None

    def is_alive(self) -> bool:
        """Whether this very process still runs."""
        return _started(self.pid) == self.started


def terminate(identity: ProcessIdentity, *, grace_seconds: float) -> bool:
    """End a process that need not be our child: SIGTERM, wait, SIGKILL. Blocks the thread.

    Returns whether there was anything to end. Never signals a process that merely has the pid.
    """
    with _pidfd(identity.pid) as pidfd:
        # Looked up after the pidfd was opened: from here on the descriptor cannot be recycled.
        if not identity.is_alive():
            return False
        for number, seconds in (
            (signal.SIGTERM, grace_seconds),
            (signal.SIGKILL, grace_seconds),
        ):
            with contextlib.suppress(ProcessLookupError):
                _send(identity.pid, pidfd, number)
            if _wait_gone(identity, pidfd, seconds):
                break
    return True


def _send(pid: int, pidfd: int | None, number: signal.Signals) -> None:
    if pidfd is None:
        os.kill(pid, number)
    else:
        signal.pidfd_send_signal(pidfd, number)


def _wait_gone(identity: ProcessIdentity, pidfd: int | None, seconds: float) -> bool:
    if pidfd is not None:
        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        return bool(poller.poll(seconds * 1000))
    deadline = time.monotonic() + seconds
    while identity.is_alive():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


@contextlib.contextmanager
def _pidfd(pid: int) -> Iterator[int | None]:
    descriptor: int | None = None
    if hasattr(os, "pidfd_open"):
        with contextlib.suppress(OSError):
            descriptor = os.pidfd_open(pid)
    try:
        yield descriptor
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _started(pid: int) -> str:
    if BOOT_ID_PATH.exists():
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
            boot_id = BOOT_ID_PATH.read_text().strip()
        except OSError:
            return ""
        # The command name, in parentheses, may hold spaces and parentheses of its own.
        fields = stat.rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else f"{boot_id}/{fields[19]}"
    listed = subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
        timeout=PS_TIMEOUT_SECONDS,
    )
    return listed.stdout.strip()
