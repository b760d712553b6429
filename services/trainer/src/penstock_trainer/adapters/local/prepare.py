"""Making an attempt's directory: all of it, or none of it."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

from penstock_trainer.adapters.local.environment import rank_environments, shared_environment
from penstock_trainer.adapters.local.layout import PREPARING_PREFIX, AttemptPaths
from penstock_trainer.errors import InvalidAttempt
from penstock_trainer.ports import AttemptSpec
from penstock_trainer.runner.files import sync_directory, write_json


def prepare(
    spec: AttemptSpec,
    paths: AttemptPaths,
    base_environment: Mapping[str, str],
    python: Path,
    log_limit_bytes: int,
) -> None:
    """Make the directory of an attempt that has none. Hold the job's gate.

    What a crash left half made is removed first. Raises InvalidAttempt where a file or an input
    is missing.
    """
    _check_sources(spec)
    for leftover in paths.job.attempts.glob(f"{PREPARING_PREFIX}*"):
        shutil.rmtree(leftover)
    paths.job.checkpoints.mkdir(exist_ok=True)
    making = paths.job.attempts / f"{PREPARING_PREFIX}{spec.attempt}"
    making.mkdir(mode=0o700)
    for folder in (paths.work, paths.outputs, paths.logs):
        (making / folder.name).mkdir()
    for relative, source in spec.files:
        _copy(source, making / paths.work.name / relative)
    resume_from = paths.job.checkpoints if any(paths.job.checkpoints.iterdir()) else None
    write_json(
        making / paths.spec.name,
        {
            "attempt": spec.attempt,
            # The random part keeps apart two platforms that happen to use the same names.
            "attempt_id": f"{spec.id}/{secrets.token_hex(8)}",
            "command": list(spec.command),
            "working_directory": str(paths.work),
            "environment": shared_environment(spec, paths, base_environment, python, resume_from),
            "rank_environments": rank_environments(spec),
            "grace_seconds": spec.grace_seconds,
            "log_limit_bytes": log_limit_bytes,
            "lock": str(paths.job.lock),
            "gate": str(paths.job.gate),
        },
    )
    os.rename(making, paths.directory)  # noqa: PTH104 - one name for the crash tests to intercept
    sync_directory(paths.job.attempts)


def _check_sources(spec: AttemptSpec) -> None:
    for relative, source in spec.files:
        if not source.exists():
            raise InvalidAttempt(f"files: the source of {relative!r} is missing: {source}")
    for name, path in spec.inputs.items():
        if not path.exists():
            raise InvalidAttempt(f"inputs: {name!r} is missing: {path}")


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        shutil.copy2(source, target)
