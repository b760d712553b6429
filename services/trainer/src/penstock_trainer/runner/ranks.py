"""Starting one rank: a process of its own session whose output comes to the runner by a pipe."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import sys
from pathlib import Path
from typing import Final, NoReturn

from penstock_trainer.runner import ATTEMPT_ID_VARIABLE
from penstock_trainer.runner.logs import BoundedLog
from penstock_trainer.runner.spec import RunnerSpec

PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
PR_SET_CHILD_SUBREAPER: Final = 36
CANNOT_START_CODE: Final = 127
"""The exit code of a command that could not be started, as a shell gives it."""
RANK_OOM_SCORE: Final = 500
"""Out of memory, the kernel should end the rank, not its runner or the platform beside it."""
IGNORED_BY_PYTHON: Final = (signal.SIGPIPE, signal.SIGXFSZ)

_libc = ctypes.CDLL(None, use_errno=True)


def become_subreaper() -> None:
    """Make every descendant whose parent dies a child of this process, however it hides."""
    if _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


class Rank:
    """One started rank. `status` is its wait status once it ended, `error` why it never began."""

    def __init__(self, number: int, pid: int, output: int, log: BoundedLog) -> None:
        self.number = number
        self.pid = pid
        self.output = output
        self.log = log
        self.status: int | None = None
        self.error: str | None = None

    @property
    def exit_code(self) -> int | None:
        """The exit code, or None where a signal ended it or it still runs."""
        if self.status is None or not os.WIFEXITED(self.status):
            return None
        return os.WEXITSTATUS(self.status)

    @property
    def signal(self) -> int | None:
        """The signal that ended it, or None."""
        if self.status is None or not os.WIFSIGNALED(self.status):
            return None
        return os.WTERMSIG(self.status)

    def drain(self) -> bool:
        """Move what the pipe holds to the log. False once there is nothing more to come."""
        while True:
            try:
                data = os.read(self.output, 64 * 1024)
            except BlockingIOError:
                return True
            if not data:
                return False
            self.log.write(data)


def start_rank(spec: RunnerSpec, number: int, tee: int | None) -> Rank:
    """Start rank `number`. A command that cannot be started is a rank with an `error`."""
    log = BoundedLog(spec.log_file(number), spec.log_limit_bytes, tee)
    output, their_output = os.pipe()
    failure, their_failure = os.pipe()  # closed by a successful exec, else carries the errno
    runner_pid = os.getpid()
    pid = os.fork()
    if pid == 0:
        _become_rank(spec, number, their_output, their_failure, runner_pid)
    os.close(their_output)
    os.close(their_failure)
    os.set_blocking(output, False)
    rank = Rank(number, pid, output, log)
    with os.fdopen(failure, "rb") as pipe:
        code = pipe.read()
    if code:
        rank.error = f"cannot start {spec.command[0]!r}: {os.strerror(int(code))}"
        log.write(f"[penstock: {rank.error}]\n".encode())
    return rank


def _become_rank(
    spec: RunnerSpec, number: int, output: int, failure: int, runner_pid: int
) -> NoReturn:
    try:
        os.setsid()
        # A rank without its runner could not be told from an orphan: it ends with it.
        _libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != runner_pid:
            os.kill(os.getpid(), signal.SIGKILL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        signal.set_wakeup_fd(-1)
        for inherited in (*IGNORED_BY_PYTHON, signal.SIGHUP):
            signal.signal(inherited, signal.SIG_DFL)
        _prefer_as_victim()
        os.chdir(spec.working_directory)
        environment = {
            **spec.environment,
            **spec.rank_environments[number],
            ATTEMPT_ID_VARIABLE: spec.attempt_id,
        }
        os.execvpe(spec.command[0], spec.command, environment)  # noqa: S606
    except OSError as error:
        os.write(failure, str(error.errno or errno.EIO).encode())
    except BaseException as error:  # noqa: BLE001 - nothing may return into the runner's code
        sys.stderr.write(f"penstock-run: {error!r}\n")
        os.write(failure, str(errno.EIO).encode())
    os._exit(CANNOT_START_CODE)


def _prefer_as_victim() -> None:
    try:
        Path("/proc/self/oom_score_adj").write_text(str(RANK_OOM_SCORE))
    except OSError:
        return  # already higher, or not ours to set: a preference, not a guarantee
