"""Many jobs, several trainers on one root, and SIGKILL at random moments."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from penstock_trainer.adapters.local import LocalLauncher
from penstock_trainer.adapters.local.waiting import process_end
from penstock_trainer.ports import AttemptState
from penstock_trainer.runner.procfs import Process, is_alive, processes

TRAINERS = 3
JOBS = 20
MAX_KILLS = 20
"""Of trainers, and as many of runners; then they may finish undisturbed: the run ends."""
MIN_KILLS = 3
"""A run with fewer of either kind shows nothing, and fails."""
MEAN_TRAINER_KILL_SECONDS = 0.4
MEAN_RUNNER_KILL_SECONDS = 0.03
"""A runner of these scripts lives for about a tenth of a second."""
LOOK_SECONDS = 0.05
CAUGHT_SECONDS = 100.0


def mentions(process: Process, text: str) -> bool:
    """Whether a process has the text in its command line."""
    try:
        return text in Path(f"/proc/{process.pid}/cmdline").read_text()
    except OSError:
        return False


@dataclass
class Run:
    """One chaos run: what was killed and what the scripts wrote down."""

    directory: Path
    programs: Path
    runner: tuple[str, ...] = ()
    killed_trainers: int = 0
    killed_runners: int = 0
    journal: list[tuple[str, str, str]] = field(default_factory=list)

    async def play(self, seed: int) -> None:
        chance = random.Random(seed)
        async with asyncio.timeout(100):
            killer = asyncio.create_task(self._kill_runners(random.Random(seed)))
            await asyncio.gather(*(self._keep_a_trainer(chance) for _ in range(TRAINERS)))
            killer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await killer
        self._read_journal()

    async def play_until_caught(self) -> None:
        trainers = [await self._start_trainer(stderr=subprocess.DEVNULL) for _ in range(TRAINERS)]
        try:
            async with asyncio.timeout(CAUGHT_SECONDS):
                while not (self.double_starts() and self.overlaps()):
                    await asyncio.sleep(LOOK_SECONDS)
                    self._read_journal()
        finally:
            for trainer in trainers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(trainer.pid, signal.SIGKILL)
                await trainer.wait()
            # Its runners claim one attempt many times, so they are found by their command lines.
            for process in processes():
                if mentions(process, str(self.directory)):
                    await asyncio.wait_for(process_end(process.pid, process.start_ticks), 20)

    def _read_journal(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            lines = (self.directory / "journal").read_text().splitlines()
            self.journal = [tuple(line.split()) for line in lines]

    async def _start_trainer(self, **options: int) -> asyncio.subprocess.Process:
        arguments = (str(self.directory / "jobs"), str(JOBS), str(self.directory / "journal"))
        return await asyncio.create_subprocess_exec(
            *(sys.executable, str(self.programs / "chaos_trainer.py"), *arguments),
            *(str(self.directory / "alone"), *self.runner),
            **options,
        )

    async def _keep_a_trainer(self, chance: random.Random) -> None:
        while True:
            trainer = await self._start_trainer()
            while trainer.returncode is None:
                may_kill = self.killed_trainers < MAX_KILLS
                patience = chance.expovariate(1 / MEAN_TRAINER_KILL_SECONDS) if may_kill else None
                try:
                    await asyncio.wait_for(trainer.wait(), patience)
                except TimeoutError:
                    with contextlib.suppress(ProcessLookupError):
                        # Not trainer.kill(): it may itself reap the process, whose exit code
                        # asyncio then never learns and reports as 255.
                        os.kill(trainer.pid, signal.SIGKILL)
                        self.killed_trainers += 1
            if trainer.returncode == 0:
                return
            assert trainer.returncode == -signal.SIGKILL

    async def _kill_runners(self, chance: random.Random) -> None:
        while self.killed_runners < MAX_KILLS:
            await asyncio.sleep(chance.expovariate(1 / MEAN_RUNNER_KILL_SECONDS))
            alive = self._living_runners()
            if alive:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(chance.choice(alive), signal.SIGKILL)
                    self.killed_runners += 1

    def _living_runners(self) -> list[int]:
        claims = sorted((self.directory / "jobs").glob("*/*/attempts/*/runner.json"))
        runners = [json.loads(claim.read_text()) for claim in claims]
        return [r["pid"] for r in runners if is_alive(r["pid"], r["start_ticks"])]

    def double_starts(self) -> list[tuple[str, str]]:
        starts = Counter((job, attempt) for what, job, attempt in self.journal if what == "start")
        return [attempt for attempt, count in starts.items() if count > 1]

    def overlaps(self) -> list[tuple[str, str, str]]:
        return [line for line in self.journal if line[0] == "overlap"]


async def check_that_nothing_is_lost_or_twice(directory: Path, programs: Path, seed: int) -> None:
    run = Run(directory, programs)
    await run.play(seed)
    assert run.double_starts() == [], f"seed {seed}"
    assert run.overlaps() == [], f"seed {seed}"
    launcher = LocalLauncher(directory / "jobs")
    attempts = await launcher.attempts()
    seen = {attempt: await launcher.observe(attempt) for attempt in attempts}
    done = Counter(a.job for a, end in seen.items() if end.record and end.record.succeeded)
    assert done == {f"job-{number}": 1 for number in range(JOBS)}, f"seed {seed}"
    lost = [attempt for attempt, end in seen.items() if end.state is AttemptState.LOST]
    assert len(lost) + len(done) == len(seen), f"seed {seed}"
    # Last: a run that killed too little must not hide that it broke a promise all the same.
    assert min(run.killed_trainers, run.killed_runners, len(lost)) >= MIN_KILLS, f"seed {seed}"


async def test_jobs_end_once_each_while_trainers_and_runners_are_killed(tmp_path, programs):
    await check_that_nothing_is_lost_or_twice(tmp_path, programs, seed=1)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 22))
async def test_jobs_end_once_each_while_trainers_and_runners_are_killed_on_many_seeds(
    tmp_path, programs, seed
):
    await check_that_nothing_is_lost_or_twice(tmp_path, programs, seed)


async def test_the_chaos_check_sees_the_doubles_of_an_unfenced_runner(tmp_path, programs):
    """The control: with the lock and the claim taken out, the same checks must find both wrongs.

    Such trainers never come to an end (without a lock every attempt looks lost), so this runs
    until both were seen, and fails where they are not.
    """
    command = (sys.executable, str(programs / "unfenced_runner.py"), "--detach")
    run = Run(tmp_path, programs, runner=command)
    await run.play_until_caught()
    assert run.double_starts()
    assert run.overlaps()
