"""`FakeLauncher`: the contract of `ports.Launcher` in memory, with no processes and no real time.

Tests say what the scripts do (`report`, `write`, `finish`, `lose`) and when the grace of a stop
runs out (`expire_grace`). Everything waits on the event loop alone, so it also runs under a
simulated clock.
"""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from penstock_trainer.errors import InvalidReport, NotYetGone, Superseded
from penstock_trainer.ports import (
    AttemptId,
    AttemptSpec,
    AttemptState,
    Collected,
    ExitRecord,
    LogPage,
    MetricsPage,
    Observation,
    RankExit,
)
from penstock_trainer.reports import parse_result, read_metrics

ABSENT = Observation(AttemptState.ABSENT)
RUNNING = Observation(AttemptState.RUNNING)


@dataclass(slots=True)
class FakeAttempt:
    """One attempt as the fake sees it; tests may look at it through `FakeLauncher.attempt`."""

    spec: AttemptSpec
    started_at: float
    seen: Observation = RUNNING
    stop_requested: bool = False
    stop_reason: str = ""
    grace_seconds: float = 0.0
    metrics: bytearray = field(default_factory=bytearray)
    logs: dict[int, bytearray] = field(default_factory=dict)
    result: bytes | None = None
    output_dir: Path | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class FakeLauncher:
    """A launcher whose attempts do what the test says.

    - `clock`: unix seconds for the records (default: a constant).
    - `obeys_stop`: whether scripts end at SIGTERM; if not, only `expire_grace` ends them.
    - `checkpoint_dir`: what `collect` gives.
    - `name`: its identity.

    `starts` lists every attempt whose script really started, in order: a double start shows here.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = lambda: 0.0,
        obeys_stop: bool = True,
        checkpoint_dir: Path = Path("checkpoints"),
        name: str = "fake",
    ) -> None:
        self._name = name
        self._clock = clock
        self._checkpoint_dir = checkpoint_dir
        self._attempts: dict[AttemptId, FakeAttempt] = {}
        self.obeys_stop = obeys_stop
        self.starts: list[AttemptId] = []

    # The port.

    async def identity(self) -> str:
        """Name this launcher; see `Launcher.identity`."""
        return self._name

    async def start(self, spec: AttemptSpec) -> None:
        """Start the attempt; see `Launcher.start`."""
        if spec.id in self._attempts:
            return
        for other, fake in self._attempts.items():
            if (other.namespace, other.job) != (spec.namespace, spec.job):
                continue
            if other.attempt > spec.attempt:
                raise Superseded(f"{spec.id}: attempt {other.attempt} exists")
            if not fake.seen.ended:
                raise NotYetGone(f"{spec.id}: attempt {other.attempt} runs; wait for it")
        self._attempts[spec.id] = FakeAttempt(spec, self._clock())
        self.starts.append(spec.id)

    async def observe(self, attempt: AttemptId) -> Observation:
        """Say where the attempt stands; see `Launcher.observe`."""
        fake = self._attempts.get(attempt)
        return fake.seen if fake else ABSENT

    async def watch(self, attempt: AttemptId) -> Observation:
        """Wait for the end; see `Launcher.watch`."""
        fake = self._attempts.get(attempt)
        if fake is None:
            return ABSENT
        await fake.ended.wait()
        return fake.seen

    async def signal_stop(
        self, attempt: AttemptId, grace_seconds: float | None = None, reason: str = ""
    ) -> None:
        """Ask the attempt to stop; see `Launcher.signal_stop`."""
        fake = self._attempts.get(attempt)
        if fake is None or fake.seen.ended:
            return
        grace = fake.spec.grace_seconds if grace_seconds is None else grace_seconds
        fake.grace_seconds = min(grace, fake.grace_seconds) if fake.stop_requested else grace
        fake.stop_requested, fake.stop_reason = True, reason
        if self.obeys_stop:
            self.finish(attempt, signal_number=signal.SIGTERM)

    async def reap(self, attempt: AttemptId) -> None:
        """Free what the attempt holds; see `Launcher.reap`."""
        fake = self._attempts.get(attempt)
        if fake is None:
            return
        if not fake.seen.ended:
            raise NotYetGone(f"{attempt} runs: stop it first")
        fake.metrics.clear()
        fake.logs.clear()
        fake.result, fake.output_dir = None, None

    async def metrics(self, attempt: AttemptId, offset: int = 0) -> MetricsPage:
        """Return reports from an offset on; see `Launcher.metrics`."""
        fake = self._attempts.get(attempt)
        return read_metrics(bytes(fake.metrics[offset:]) if fake else b"", offset)

    async def log(self, attempt: AttemptId, offset: int = 0, rank: int = 0) -> LogPage:
        """Return output from an offset on; see `Launcher.log`."""
        fake = self._attempts.get(attempt)
        data = bytes(fake.logs.get(rank, b"")[offset:]) if fake else b""
        return LogPage(data, offset + len(data))

    async def collect(self, attempt: AttemptId) -> Collected:
        """Return what the attempt left; see `Launcher.collect`."""
        fake = self._attempts.get(attempt)
        if fake is None or not fake.seen.ended:
            raise NotYetGone(f"{attempt} has not ended: wait for it first")
        result, refused = None, None
        if fake.result is not None:
            try:
                result = parse_result(fake.result)
            except InvalidReport as error:
                refused = str(error)
        return Collected(result, refused, fake.output_dir, (), self._checkpoint_dir)

    async def attempts(self) -> tuple[AttemptId, ...]:
        """Return every attempt, in order."""
        return tuple(sorted(self._attempts))

    # What tests say.

    def attempt(self, attempt: AttemptId) -> FakeAttempt:
        """Return a started attempt. Raises KeyError for one that is not."""
        return self._attempts[attempt]

    def report(self, attempt: AttemptId, metrics: Mapping[str, float], step: int | None) -> None:
        """Let the script report metrics."""
        line = {"time": self._clock(), "step": step, "metrics": dict(metrics)}
        self.write_metrics(attempt, json.dumps(line).encode() + b"\n")

    def write_metrics(self, attempt: AttemptId, data: bytes) -> None:
        """Let the script append raw bytes to its metrics, half a line for instance."""
        self._running(attempt).metrics += data

    def write_log(self, attempt: AttemptId, data: bytes, rank: int = 0) -> None:
        """Let the script print."""
        self._running(attempt).logs.setdefault(rank, bytearray()).extend(data)

    def finish(
        self,
        attempt: AttemptId,
        *,
        exit_code: int | None = 0,
        signal_number: int | None = None,
        result: Mapping[str, Any] | bytes | None = None,
        output_dir: Path | None = None,
        reason: str | None = None,
    ) -> None:
        """Let the script end: with a code, or by a signal, and with what it leaves behind."""
        fake = self._running(attempt)
        if signal_number is not None:
            exit_code = None
        if result is not None:
            fake.result = result if isinstance(result, bytes) else json.dumps(result).encode()
        fake.output_dir = output_dir
        number = None if signal_number is None else int(signal_number)
        record = ExitRecord(
            attempt=attempt.attempt,
            exit_code=exit_code,
            signal=number,
            reason=reason or _reason(fake, exit_code, number),
            started_at=fake.started_at,
            ended_at=self._clock(),
            stop_requested=fake.stop_requested,
            ranks=tuple(RankExit(n, exit_code, number) for n in range(fake.spec.ranks)),
        )
        self._end(fake, Observation(AttemptState.EXITED, record=record))

    def expire_grace(self, attempt: AttemptId) -> None:
        """Let the grace of a requested stop run out."""
        assert self._running(attempt).stop_requested, "no stop was requested"
        self.finish(attempt, signal_number=signal.SIGKILL)

    def lose(self, attempt: AttemptId, why: str = "the runner was killed") -> None:
        """Let the attempt's runner be killed."""
        self._end(self._running(attempt), Observation(AttemptState.LOST, why=why))

    def _running(self, attempt: AttemptId) -> FakeAttempt:
        fake = self._attempts[attempt]
        assert not fake.seen.ended, f"{attempt} has ended"
        return fake

    def _end(self, fake: FakeAttempt, seen: Observation) -> None:
        fake.seen = seen
        fake.ended.set()


def _reason(fake: FakeAttempt, exit_code: int | None, signal_number: int | None) -> str:
    if fake.stop_requested:
        why = f" ({fake.stop_reason})" if fake.stop_reason else ""
        return f"stopped on request{why}"
    if signal_number is not None:
        return f"rank 0 was ended by {signal.Signals(signal_number).name}"
    return f"rank 0 exited with code {exit_code}" if exit_code else "finished"
