"""The claim: at most one runner per job at a time, and at most one runner ever per attempt.

Two locks of the kernel (`flock`: released with the last process that holds the file open, however
it dies) and one file:

- `lock`, one per job: held by a runner for its whole life. Held means alive.
- `gate`, one per job: held for milliseconds by whoever prepares, claims or judges an attempt.
  Only its holder may try `lock`, so that a trainer that looks whether a runner is alive never
  makes a runner's claim fail.
- `runner.json` of the attempt: on disk before anything is started. With it, an attempt has been
  started and never is again, whatever became of its runner.

Neither lock file is ever deleted: a lock on an unlinked file protects nothing.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from penstock_trainer.runner import ALREADY_CLAIMED, LOCKED, SUPERSEDED, Refused
from penstock_trainer.runner.files import write_json
from penstock_trainer.runner.procfs import boot_id, look
from penstock_trainer.runner.spec import RunnerSpec


@contextmanager
def hold_gate(path: Path) -> Iterator[None]:
    """Hold a job's gate; waits for it, which takes milliseconds."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def try_lock(path: Path) -> int | None:
    """Take a job's lock without waiting: the descriptor that holds it, or None. Hold the gate."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def attempt_numbers(attempts: Path) -> list[int]:
    """Return the numbers of the attempts that were prepared below a job's `attempts` folder."""
    try:
        names = os.listdir(attempts)  # noqa: PTH208 - names are all that is needed
    except FileNotFoundError:
        return []
    return sorted(int(name) for name in names if name.isdigit())


def claim(spec: RunnerSpec) -> int:
    """Claim the attempt for this process; return the descriptor that holds the job's lock.

    Raises Refused, having touched nothing.
    """
    with hold_gate(spec.gate):
        if spec.claim_file.exists():
            raise Refused(ALREADY_CLAIMED, f"attempt {spec.attempt} was started before")
        newest = attempt_numbers(spec.directory.parent)[-1]
        if newest > spec.attempt:
            raise Refused(SUPERSEDED, f"attempt {newest} exists: attempt {spec.attempt} is over")
        lock = try_lock(spec.lock)
        if lock is None:
            raise Refused(LOCKED, "another attempt of this job is alive")
        write_claim(spec)
        return lock


def write_claim(spec: RunnerSpec) -> None:
    """Say on disk that this process runs the attempt."""
    myself = look(os.getpid())
    assert myself is not None, "a process can always see itself"
    write_json(
        spec.claim_file,
        {
            "attempt": spec.attempt,
            "attempt_id": spec.attempt_id,
            "pid": myself.pid,
            "start_ticks": myself.start_ticks,
            "boot_id": boot_id(),
            "claimed_at": time.time(),
        },
    )
