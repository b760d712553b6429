"""`LocalLauncher`: attempts as processes of this machine, each under its own runner.

Everything it knows is on disk and in the kernel (see `layout`, `runner.claim`), so any number of
launchers, of living and of dead trainers, may use one root at once. Blocking work (files, locks,
one short-lived process at a start) is done in threads.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from penstock_trainer.adapters.local.identity import identity_of
from penstock_trainer.adapters.local.judge import judge, recorded_end
from penstock_trainer.adapters.local.layout import AttemptPaths
from penstock_trainer.adapters.local.prepare import prepare
from penstock_trainer.adapters.local.waiting import FALLBACK_POLL_SECONDS, process_end
from penstock_trainer.errors import InvalidReport, NotYetGone, StartFailed, Superseded
from penstock_trainer.ports import (
    AttemptId,
    AttemptSpec,
    AttemptState,
    Collected,
    LogPage,
    MetricsPage,
    Observation,
)
from penstock_trainer.reports import MAX_RESULT_BYTES, parse_result, read_metrics
from penstock_trainer.runner import ALREADY_CLAIMED, CLAIMED, LOCKED, SUPERSEDED
from penstock_trainer.runner.claim import attempt_numbers, hold_gate
from penstock_trainer.runner.files import read_json, write_json
from penstock_trainer.runner.procfs import send

LOG_LIMIT_BYTES: Final = 64 * 1024 * 1024
PAGE_BYTES: Final = 1024 * 1024
START_TIMEOUT_SECONDS: Final = 60.0
"""For the runner to come up and claim; normally well below a tenth of a second."""


class LocalLauncher:
    """The `Launcher` of one machine. See `penstock_trainer.ports` for its promises.

    - `root`: the folder of all jobs; made when first needed.
    - `python`: the interpreter of the runner, and first on the scripts' path.
    - `base_environment`: what scripts may inherit a part of (default: this process's own).
    - `runner_command`: how the runner is started; the attempt's directory is appended.
    """

    def __init__(
        self,
        root: Path,
        *,
        python: Path = Path(sys.executable),
        base_environment: Mapping[str, str] | None = None,
        log_limit_bytes: int = LOG_LIMIT_BYTES,
        runner_command: Sequence[str] | None = None,
    ) -> None:
        self._root = root.absolute()
        self._python = python
        self._base_environment = os.environ if base_environment is None else base_environment
        self._log_limit_bytes = log_limit_bytes
        self._runner_command = tuple(
            runner_command or (str(python), "-P", "-m", "penstock_trainer.runner", "--detach")
        )

    async def identity(self) -> str:
        """Name the root; see `Launcher.identity`."""
        return await asyncio.to_thread(identity_of, self._root)

    # Starting.

    async def start(self, spec: AttemptSpec) -> None:
        """Start the attempt; see `Launcher.start`."""
        await asyncio.to_thread(self._start, spec)

    def _start(self, spec: AttemptSpec) -> None:
        paths = AttemptPaths(self._root, spec.id)
        paths.job.attempts.mkdir(parents=True, exist_ok=True, mode=0o700)
        with hold_gate(paths.job.gate):
            # 1. An attempt that ever began is not begun again; a later one ends this one's chance.
            if paths.claim.exists():
                return
            numbers = attempt_numbers(paths.job.attempts)
            if numbers and numbers[-1] > spec.attempt:
                raise Superseded(f"{spec.id}: attempt {numbers[-1]} exists")
            # 2. Its directory appears only when all earlier attempts are proved gone.
            if spec.attempt not in numbers:
                self._prove_gone(spec.id, numbers)
                prepare(spec, paths, self._base_environment, self._python, self._log_limit_bytes)
        # 3. The runner claims under the gate itself: of several started here, one wins.
        self._run_runner(paths)

    def _prove_gone(self, attempt: AttemptId, numbers: Sequence[int]) -> None:
        """Raise NotYetGone unless no attempt of the job runs. Hold the gate."""
        for number in numbers[-1:]:  # it was itself prepared only when those before were gone
            earlier = AttemptId(attempt.namespace, attempt.job, number)
            seen = judge(AttemptPaths(self._root, earlier))
            if seen.state is AttemptState.RUNNING:
                raise NotYetGone(f"{attempt}: attempt {number} runs; {seen.why or 'wait for it'}")

    def _run_runner(self, paths: AttemptPaths) -> None:
        try:
            finished = subprocess.run(
                [*self._runner_command, str(paths.directory)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=START_TIMEOUT_SECONDS,
                check=False,
                start_new_session=True,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            if paths.claim.exists():
                return
            raise StartFailed(f"{paths.id}: the runner did not come up: {error}") from error
        code = finished.returncode
        # The claim on disk decides, not the answer: a runner may be killed between the two, and
        # the attempt has then been started all the same, and is lost.
        if code in (CLAIMED, ALREADY_CLAIMED) or paths.claim.exists():
            return
        message = finished.stderr.decode(errors="replace").strip() or "it ended without a word"
        if code == LOCKED:
            raise NotYetGone(f"{paths.id}: {message}")
        if code == SUPERSEDED:
            raise Superseded(f"{paths.id}: {message}")
        raise StartFailed(f"{paths.id}: the runner failed with code {code}: {message}")

    # Watching.

    async def observe(self, attempt: AttemptId) -> Observation:
        """Say where the attempt stands; see `Launcher.observe`."""
        return await asyncio.to_thread(self._observe, attempt)

    def _observe(self, attempt: AttemptId) -> Observation:
        paths = AttemptPaths(self._root, attempt)
        if not paths.directory.is_dir():
            return Observation(AttemptState.ABSENT)
        with hold_gate(paths.job.gate):
            return judge(paths)

    async def watch(self, attempt: AttemptId) -> Observation:
        """Wait for the end; see `Launcher.watch`."""
        paths = AttemptPaths(self._root, attempt)
        seen = await self.observe(attempt)
        while seen.state is AttemptState.RUNNING:
            runner = read_json(paths.claim)
            assert runner is not None, "a running attempt has been claimed"
            await process_end(runner["pid"], runner["start_ticks"])
            seen = await self.observe(attempt)
            if seen.state is AttemptState.RUNNING:
                # The runner cannot be seen from here, or its orphans do not die.
                await asyncio.sleep(FALLBACK_POLL_SECONDS)
        return seen

    async def attempts(self) -> tuple[AttemptId, ...]:
        """Return every attempt below the root, in order."""
        return await asyncio.to_thread(self._attempts)

    def _attempts(self) -> tuple[AttemptId, ...]:
        found = [
            AttemptId(folder.parent.parent.name, folder.parent.name, number)
            for folder in self._root.glob("*/*/attempts")
            for number in attempt_numbers(folder)
        ]
        return tuple(sorted(found))

    # Ending.

    async def signal_stop(
        self, attempt: AttemptId, grace_seconds: float | None = None, reason: str = ""
    ) -> None:
        """Ask the attempt to stop; see `Launcher.signal_stop`."""
        await asyncio.to_thread(self._signal_stop, attempt, grace_seconds, reason)

    def _signal_stop(self, attempt: AttemptId, grace_seconds: float | None, reason: str) -> None:
        paths = AttemptPaths(self._root, attempt)
        if not paths.directory.is_dir():
            return
        with hold_gate(paths.job.gate):
            if judge(paths).ended:
                return
            wish: dict[str, Any] = {"reason": reason}
            if grace_seconds is not None:
                wish["grace_seconds"] = grace_seconds
            write_json(paths.stop, wish)
            runner = read_json(paths.claim)
        if runner is not None:
            send(runner["pid"], runner["start_ticks"], signal.SIGTERM)

    async def reap(self, attempt: AttemptId) -> None:
        """Free the disk; see `Launcher.reap`."""
        await asyncio.to_thread(self._reap, attempt)

    def _reap(self, attempt: AttemptId) -> None:
        paths = AttemptPaths(self._root, attempt)
        if not paths.directory.is_dir():
            return
        with hold_gate(paths.job.gate):
            seen = judge(paths)
            if seen.state is AttemptState.RUNNING:
                raise NotYetGone(f"{attempt} runs: stop it first")
            if not seen.ended:
                return  # prepared only: a runner that is on its way would miss its files
            for folder in (paths.work, paths.outputs, paths.logs):
                shutil.rmtree(folder, ignore_errors=True)
            for file in (paths.metrics, paths.result):
                file.unlink(missing_ok=True)

    # Reading.

    async def metrics(self, attempt: AttemptId, offset: int = 0) -> MetricsPage:
        """Return reports from an offset on; see `Launcher.metrics`."""
        path = AttemptPaths(self._root, attempt).metrics
        return read_metrics(await asyncio.to_thread(_read_page, path, offset), offset)

    async def log(self, attempt: AttemptId, offset: int = 0, rank: int = 0) -> LogPage:
        """Return output from an offset on; see `Launcher.log`."""
        path = AttemptPaths(self._root, attempt).log(rank)
        data = await asyncio.to_thread(_read_page, path, offset)
        return LogPage(data, offset + len(data))

    async def collect(self, attempt: AttemptId) -> Collected:
        """Return what the attempt left; see `Launcher.collect`."""
        return await asyncio.to_thread(self._collect, attempt)

    def _collect(self, attempt: AttemptId) -> Collected:
        paths = AttemptPaths(self._root, attempt)
        if recorded_end(paths) is None:
            raise NotYetGone(f"{attempt} has not ended: wait for it first")
        result, refused = None, None
        if paths.result.exists():
            try:
                result = parse_result(_read_page(paths.result, 0, MAX_RESULT_BYTES + 1))
            except InvalidReport as error:
                refused = str(error)
        has_output = paths.outputs.is_dir() and any(paths.outputs.iterdir())
        return Collected(
            result=result,
            result_refused=refused,
            output_dir=paths.outputs if has_output else None,
            log_paths=tuple(sorted(paths.logs.glob("rank-*.log"))),
            checkpoint_dir=paths.job.checkpoints,
        )


def _read_page(path: Path, offset: int, limit_bytes: int = PAGE_BYTES) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(limit_bytes)
    except FileNotFoundError:
        return b""
