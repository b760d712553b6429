"""Judging an attempt by what is on disk and what runs. Hold the job's gate for all of it."""

from __future__ import annotations

import os
from typing import Any, Final

from penstock_trainer.adapters.local.layout import AttemptPaths
from penstock_trainer.ports import AttemptState, ExitRecord, Observation, RankExit
from penstock_trainer.runner.claim import attempt_numbers, try_lock
from penstock_trainer.runner.files import read_json, write_json
from penstock_trainer.runner.procfs import boot_id, kill_members

ORPHANS_PATIENCE_SECONDS: Final = 5.0
"""How long to wait for killed processes to disappear before saying that they do not."""

ABSENT: Final = Observation(AttemptState.ABSENT)
RUNNING: Final = Observation(AttemptState.RUNNING)


def judge(paths: AttemptPaths) -> Observation:
    """Say where the attempt stands, having ended what a dead runner left behind."""
    over = recorded_end(paths)
    numbers = attempt_numbers(paths.job.attempts)
    if paths.id.attempt not in numbers:
        return ABSENT
    if numbers[-1] > paths.id.attempt:
        # Later attempts are prepared only when this one is over: the lock says nothing of it.
        return over or ABSENT
    lock = try_lock(paths.job.lock)
    if lock is None:
        return RUNNING if paths.claim.exists() else ABSENT
    try:
        over = recorded_end(paths)  # a runner may have ended since the first look
        if over is not None or not paths.claim.exists():
            return over or ABSENT
        return _settle_lost(paths)
    finally:
        os.close(lock)


def recorded_end(paths: AttemptPaths) -> Observation | None:
    """Return the end that is on disk, if any."""
    record = read_json(paths.exit)
    if record is not None:
        return Observation(AttemptState.EXITED, record=_exit_record(record))
    lost = read_json(paths.lost)
    if lost is not None:
        return Observation(AttemptState.LOST, why=str(lost["why"]))
    return None


def _settle_lost(paths: AttemptPaths) -> Observation:
    """End an attempt whose runner is gone without a record. Nobody else holds the job's lock."""
    claim = read_json(paths.claim)
    assert claim is not None, "only a claimed attempt can be lost"
    orphans = kill_members(claim["attempt_id"], ORPHANS_PATIENCE_SECONDS)
    if orphans:
        return Observation(
            AttemptState.RUNNING,
            why=f"the runner is gone, but its processes {orphans} do not die",
        )
    if claim["boot_id"] == boot_id():
        why = "the runner was killed; nothing of the attempt is left"
    else:
        why = "the machine restarted; nothing of the attempt is left"
    write_json(paths.lost, {"attempt": paths.id.attempt, "why": why})
    return Observation(AttemptState.LOST, why=why)


def _exit_record(raw: dict[str, Any]) -> ExitRecord:
    ranks = tuple(
        RankExit(rank["rank"], rank["exit_code"], rank["signal"], rank["error"])
        for rank in raw["ranks"]
    )
    return ExitRecord(
        attempt=raw["attempt"],
        exit_code=raw["exit_code"],
        signal=raw["signal"],
        reason=raw["reason"],
        started_at=raw["started_at"],
        ended_at=raw["ended_at"],
        stop_requested=raw["stop_requested"],
        ranks=ranks,
    )
