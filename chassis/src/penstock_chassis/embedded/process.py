"""One supervised child process: its log, its death with its parent, its orderly end, its restarts.

Guarantees
- The child never outlives the thread that started it, not even when the parent is SIGKILLed: the
  kernel sends it the death signal (Linux). The kernel watches the *thread* that forked, not the
  process: start children from the main thread, or from a thread that lives as long as they should.
- Ctrl-C in the terminal does not reach the child: it runs in a session of its own. Whoever owns
  it decides the order of the shutdown, by `stop`.
- An exit that nobody asked for is reported, with the last log lines, to `on_exit` and, when no
  restart follows, to everyone who awaits `failed`.
- A restart happens only after `mark_ready`: a child that never became ready fails at once, since
  repetition does not mend a wrong configuration.

It never reads the child's output through a pipe: a pipe would fill, or break with the parent.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from penstock_chassis.embedded.children import ChildRegistry
from penstock_chassis.embedded.errors import EmbeddedError
from penstock_chassis.embedded.logfile import open_log, tail

LAUNCHER = Path(__file__).with_name("_launch.py")
STOP_GRACE_SECONDS = 10.0


@dataclass(frozen=True)
class Backoff:
    """How fast, and how often, a child is started again."""

    first_seconds: float = 0.05
    factor: float = 2.0
    max_seconds: float = 2.0
    healthy_after_seconds: float = 5.0
    """A run that lasted this long wipes out the failures before it."""
    max_quick_failures: int = 10
    """After this many shorter runs in a row the supervisor gives up."""

    def delay_seconds(self, failures: int) -> float:
        """The wait before the restart that follows the n-th quick failure (n >= 1)."""
        return min(self.first_seconds * self.factor ** (failures - 1), self.max_seconds)


@dataclass(frozen=True)
class UnexpectedExit:
    """A child ended though nobody had asked it to."""

    name: str
    pid: int
    returncode: int
    """Negative: ended by that signal, as in `subprocess`."""
    ran_seconds: float
    log_tail: str
    restarts_in_seconds: float | None
    """None: it will not be started again."""

    def __str__(self) -> str:
        how = f"with status {self.returncode}"
        if self.returncode < 0:
            how = f"by {signal.Signals(-self.returncode).name}"
        said = f"; its last words:\n{self.log_tail}" if self.log_tail else ""
        return f"{self.name} (pid {self.pid}) ended {how} after {self.ran_seconds:.1f} s{said}"


@dataclass(frozen=True)
class Stopped:
    """How an orderly stop went."""

    returncode: int
    seconds: float
    killed: bool
    """Whether the grace ran out and SIGKILL was needed."""


class ManagedProcess:
    """A child process under supervision. Start it once; stop it once. Not for reuse."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        log_path: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        restart: bool = False,
        backoff: Backoff | None = None,
        on_exit: Callable[[UnexpectedExit], None] | None = None,
        children: ChildRegistry | None = None,
        death_signal: signal.Signals = signal.SIGKILL,
    ) -> None:
        """`argv[0]` is an absolute path; `env` replaces the whole environment where given."""
        self.name = name
        self._argv = [str(argument) for argument in argv]
        self._log_path = log_path
        self._env = dict(env) if env is not None else None
        self._cwd = cwd
        self._restart = restart
        self._backoff = backoff or Backoff()
        self._on_exit = on_exit
        self._children = children
        self._death_signal = death_signal
        self._process: asyncio.subprocess.Process | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._failed: asyncio.Future[UnexpectedExit] | None = None
        self._stopping = asyncio.Event()
        self._ready = False
        self._log_start = 0
        self.restarts = 0

    @property
    def pid(self) -> int | None:
        """The pid of the present run; None before the first start and between two runs."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    @property
    def log_path(self) -> Path:
        """Where the child's output goes."""
        return self._log_path

    def log_tail(self) -> str:
        """The last lines of the present run's output."""
        return tail(self._log_path, from_byte=self._log_start)

    async def start(self) -> None:
        """Start the child and its supervision. Raises EmbeddedError where it cannot be executed."""
        assert self._supervisor is None, "a ManagedProcess is started once"
        self._failed = asyncio.get_running_loop().create_future()
        process = await self._spawn()
        self._supervisor = asyncio.create_task(
            self._supervise(process), name=f"supervise {self.name}"
        )

    def mark_ready(self) -> None:
        """From now on an unexpected exit is answered by a restart (where `restart` is set)."""
        self._ready = True

    async def failed(self) -> UnexpectedExit:
        """Wait until the child has ended unexpectedly and will not be started again."""
        assert self._failed is not None, "not started"
        return await asyncio.shield(self._failed)

    async def wait(self) -> None:
        """Wait until the child is gone for good: stopped, or failed for the last time."""
        assert self._supervisor is not None, "not started"
        await asyncio.wait([self._supervisor])

    async def stop(self, grace_seconds: float = STOP_GRACE_SECONDS) -> Stopped | None:
        """SIGTERM, wait up to the grace, then SIGKILL to its whole group. None: was not running."""
        self._stopping.set()
        if self._supervisor is None or self._supervisor.done():
            return None
        started = time.monotonic()
        self._terminate()
        done, _ = await asyncio.wait([self._supervisor], timeout=grace_seconds)
        if not done and self._process is not None:
            # It leads its own session, so its pid, not yet reaped, is also its group's id.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await asyncio.wait([self._supervisor])
        returncode = self._process.returncode if self._process is not None else None
        assert returncode is not None, "the supervisor ends only after the child"
        return Stopped(returncode, time.monotonic() - started, killed=not done)

    def _terminate(self) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()

    async def _supervise(self, process: asyncio.subprocess.Process) -> None:
        failures = 0
        while True:
            began = time.monotonic()
            returncode = await process.wait()
            if self._children is not None:
                self._children.forget(self.name)
            if self._stopping.is_set():
                return
            ran_seconds = time.monotonic() - began
            failures = 1 if ran_seconds >= self._backoff.healthy_after_seconds else failures + 1
            delay = self._next_delay(failures)
            self._report(process.pid, returncode, ran_seconds, delay)
            if delay is None or await self._stopped_within(delay):
                return
            process = await self._spawn()
            self.restarts += 1
            if self._stopping.is_set():
                # The stop came while the new run was being started and has not seen it.
                self._terminate()

    async def _stopped_within(self, seconds: float) -> bool:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
        return self._stopping.is_set()

    def _next_delay(self, failures: int) -> float | None:
        allowed = self._restart and self._ready
        if not allowed or failures > self._backoff.max_quick_failures:
            return None
        return self._backoff.delay_seconds(failures)

    def _report(self, pid: int, returncode: int, seconds: float, delay: float | None) -> None:
        report = UnexpectedExit(self.name, pid, returncode, seconds, self.log_tail(), delay)
        if delay is None and self._failed is not None and not self._failed.done():
            self._failed.set_result(report)
        if self._on_exit is not None:
            # Not called in place: a defect in the callback must not end the supervision.
            asyncio.get_running_loop().call_soon(self._on_exit, report)

    async def _spawn(self) -> asyncio.subprocess.Process:
        if not os.access(self._argv[0], os.X_OK):
            raise EmbeddedError(f"{self.name} could not be started: cannot run {self._argv[0]}")
        with open_log(self._log_path) as log:
            self._log_start = log.seek(0, os.SEEK_END)
            try:
                self._process = process = await asyncio.create_subprocess_exec(
                    # -I -S: neither the user's environment nor site-packages is needed to launch.
                    *(sys.executable, "-I", "-S", str(LAUNCHER)),
                    *(str(os.getpid()), str(int(self._death_signal))),
                    *self._argv,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=self._env,
                    cwd=self._cwd,
                    start_new_session=True,
                )
            except OSError as error:
                raise EmbeddedError(f"{self.name} could not be started: {error}") from error
        if self._children is not None:
            self._children.record(self.name, process.pid)
        return process
