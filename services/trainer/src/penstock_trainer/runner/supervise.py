"""From the first rank's start to the proof that nothing of the attempt is left.

One thread, one loop over pipes and signals. The runner is a subreaper, so every process below it
becomes its child when orphaned: when the kernel says that it has no children (ECHILD), nothing of
the attempt runs any more, and only then is the end written down.
"""

from __future__ import annotations

import os
import selectors
import signal
import time
from typing import Any, Final

from penstock_trainer.runner.files import read_json
from penstock_trainer.runner.procfs import descendants, look, send
from penstock_trainer.runner.ranks import Rank, start_rank
from penstock_trainer.runner.spec import RunnerSpec

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
KILL_ROUND_SECONDS: Final = 0.05
"""While killing, look again this often for processes that were forked meanwhile."""


class Supervisor:
    """Runs an attempt's ranks to their end; `run` returns the exit record."""

    def __init__(self, spec: RunnerSpec, tee: int | None = None) -> None:
        self._spec = spec
        self._tee = tee
        self._ranks: list[Rank] = []
        self._first_bad: Rank | None = None
        self._stop_requested = False
        self._stop_reason = ""
        self._deadline: float | None = None  # monotonic: SIGKILL from here on
        self._grace_seconds = spec.grace_seconds
        self._grace_ran_out = False
        self._terminated: set[int] = set()  # pids that had their SIGTERM
        self._childless = False
        self._selector = selectors.DefaultSelector()
        self._wakeup, self._wakeup_writer = os.pipe()
        for end in (self._wakeup, self._wakeup_writer):
            os.set_blocking(end, False)
        self._selector.register(self._wakeup, selectors.EVENT_READ)

    def listen(self) -> None:
        """Begin to notice signals. Call before the claim, so that no stop is ever missed."""
        signal.set_wakeup_fd(self._wakeup_writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        for number in STOP_SIGNALS:
            signal.signal(number, self._on_stop_signal)

    def run(self) -> dict[str, Any]:
        """Start the ranks, see them to their end, and return what goes into `exit.json`."""
        started_at = time.time()
        if self._stop_requested or self._spec.stop_file.exists():
            self._stop_requested = True
            self._read_stop_file()
        else:
            self._start_ranks()
            while not self._childless:
                self._step()
        for rank in self._ranks:
            rank.drain()
            rank.log.close()
        return self._record(started_at)

    def _start_ranks(self) -> None:
        for number in range(len(self._spec.rank_environments)):
            rank = start_rank(self._spec, number, self._tee)
            self._ranks.append(rank)
            self._selector.register(rank.output, selectors.EVENT_READ, rank)

    def _step(self) -> None:
        self._press_on()
        for key, _ in self._selector.select(self._wait_seconds()):
            if key.data is None:
                self._empty_wakeup()
            elif not key.data.drain():
                self._selector.unregister(key.fileobj)
        self._reap()

    # What should be running, and what is done about the rest.

    def _press_on(self) -> None:
        running = [rank for rank in self._ranks if rank.status is None]
        ending = self._stop_requested or self._first_bad is not None
        if not running and not self._stop_requested:
            self._kill_everything()  # what a rank left behind ends with the rank
            return
        if not ending:
            return
        if self._deadline is None:
            self._deadline = time.monotonic() + self._grace_seconds
        if time.monotonic() >= self._deadline:
            self._grace_ran_out = True
            self._kill_everything()
            return
        # While a rank runs, the signal is for the rank alone: it may need its own workers to
        # write a last checkpoint. What outlives all ranks (a child of a shell) gets its own.
        if running:
            wanted = {rank.pid for rank in running}
        else:
            wanted = {process.pid for process in descendants(os.getpid())}
        for pid in wanted - self._terminated:
            self._terminated.add(pid)
            _signal_child(pid, signal.SIGTERM)

    def _kill_everything(self) -> None:
        for process in descendants(os.getpid()):
            send(process.pid, process.start_ticks, signal.SIGKILL)

    def _wait_seconds(self) -> float | None:
        all_ended = all(rank.status is not None for rank in self._ranks)
        if self._grace_ran_out or (all_ended and not self._stop_requested):
            return KILL_ROUND_SECONDS
        if self._deadline is not None:
            left_seconds = max(self._deadline - time.monotonic(), 0.0)
            # Orphans that appear while the grace runs must get their SIGTERM too.
            return min(left_seconds, KILL_ROUND_SECONDS) if all_ended else left_seconds
        return 0.0 if self._stop_requested or self._first_bad else None

    def _reap(self) -> None:
        ranks = {rank.pid: rank for rank in self._ranks}
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self._childless = True
                return
            if pid == 0:
                return
            rank = ranks.get(pid)
            if rank is not None:
                rank.status = status
                if status != 0 and self._first_bad is None:
                    self._first_bad = rank

    # Signals and the wish to stop.

    def _on_stop_signal(self, _number: int, _frame: object) -> None:
        self._stop_requested = True

    def _empty_wakeup(self) -> None:
        try:
            while os.read(self._wakeup, 512):
                pass
        except BlockingIOError:
            pass
        if self._stop_requested:
            self._read_stop_file()

    def _read_stop_file(self) -> None:
        wish = read_json(self._spec.stop_file) or {}
        self._stop_reason = str(wish.get("reason", self._stop_reason))
        grace_seconds = float(wish.get("grace_seconds", self._spec.grace_seconds))
        deadline = time.monotonic() + grace_seconds
        # A later wish may be more urgent than the first, never less.
        if self._deadline is None or deadline < self._deadline:
            self._deadline, self._grace_seconds = deadline, grace_seconds

    # The record.

    def _record(self, started_at: float) -> dict[str, Any]:
        decisive = self._first_bad or (self._ranks[0] if self._ranks else None)
        return {
            "attempt": self._spec.attempt,
            "exit_code": decisive.exit_code if decisive else None,
            "signal": decisive.signal if decisive else None,
            "reason": self._reason(decisive),
            "started_at": started_at,
            "ended_at": time.time(),
            "stop_requested": self._stop_requested,
            "ranks": [
                {
                    "rank": rank.number,
                    "pid": rank.pid,
                    "exit_code": rank.exit_code,
                    "signal": rank.signal,
                    "error": rank.error,
                    "log_error": rank.log.error,
                }
                for rank in self._ranks
            ],
        }

    def _reason(self, decisive: Rank | None) -> str:
        why = f" ({self._stop_reason})" if self._stop_reason else ""
        if decisive is None:
            return f"stopped on request before it started{why}"
        if self._stop_requested and self._grace_ran_out:
            return f"stopped on request{why}: SIGKILL after the grace of {self._grace_seconds:g} s"
        if self._stop_requested:
            return f"stopped on request{why}, within the grace of {self._grace_seconds:g} s"
        return _reason_of_rank(decisive)


def _reason_of_rank(rank: Rank) -> str:
    if rank.error:
        return rank.error
    if rank.signal == signal.SIGKILL:
        return (
            f"rank {rank.number} was killed by SIGKILL from outside: "
            "by the kernel for want of memory, or by a person"
        )
    if rank.signal is not None:
        return f"rank {rank.number} was ended by {_signal_name(rank.signal)}"
    return f"rank {rank.number} exited with code {rank.exit_code}" if rank.exit_code else "finished"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal has no name
        return f"signal {number}"


def _signal_child(pid: int, number: int) -> None:
    process = look(pid)
    if process is not None:
        send(pid, process.start_ticks, number)
