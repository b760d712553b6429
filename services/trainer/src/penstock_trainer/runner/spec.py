"""`spec.json`: what a runner needs to know about its attempt, all decided before it starts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from penstock_trainer.runner import BAD_SPEC, Refused
from penstock_trainer.runner.files import read_json


class RunnerSpec(NamedTuple):
    """What to run. Paths are absolute.

    `lock` is one per job, shared by all its attempts; `gate` guards the short steps around it
    (see `claim.py`). `environment` is the whole environment of a rank, apart from its own rank
    number; each entry of `rank_environments` is added to it for one rank.
    """

    directory: Path
    attempt_id: str
    attempt: int
    command: tuple[str, ...]
    working_directory: Path
    environment: dict[str, str]
    rank_environments: tuple[dict[str, str], ...]
    grace_seconds: float
    log_limit_bytes: int
    lock: Path
    gate: Path

    @property
    def claim_file(self) -> Path:
        """Where the runner says that it, and no other, runs this attempt."""
        return self.directory / "runner.json"

    @property
    def exit_file(self) -> Path:
        """Where the runner says how the attempt ended."""
        return self.directory / "exit.json"

    @property
    def stop_file(self) -> Path:
        """Where others say that the attempt should stop."""
        return self.directory / "stop.json"

    def log_file(self, rank: int) -> Path:
        """Where a rank's output goes."""
        return self.directory / "logs" / f"rank-{rank}.log"


def read_spec(directory: Path) -> RunnerSpec:
    """Read `spec.json`. Raises Refused with BAD_SPEC and the field at fault."""
    try:
        raw = read_json(directory / "spec.json")
    except ValueError as error:
        raise Refused(BAD_SPEC, f"spec.json is not readable: {error}") from error
    if raw is None:
        raise Refused(BAD_SPEC, f"there is no spec.json in {directory}")
    try:
        return _parse(directory, raw)
    except KeyError as error:
        raise Refused(BAD_SPEC, f"spec.json lacks the field {error}") from error
    except (TypeError, ValueError) as error:
        raise Refused(BAD_SPEC, f"spec.json: {error}") from error


def _parse(directory: Path, raw: Mapping[str, Any]) -> RunnerSpec:
    command = tuple(str(word) for word in raw["command"])
    ranks = tuple(_texts(environment) for environment in raw["rank_environments"])
    grace_seconds = float(raw["grace_seconds"])
    if not command:
        raise ValueError("command is empty")
    if not ranks:
        raise ValueError("rank_environments is empty: one entry for each rank")
    if not (math.isfinite(grace_seconds) and grace_seconds >= 0):
        raise ValueError(f"grace_seconds is {grace_seconds}: give a number of seconds, 0 or more")
    return RunnerSpec(
        directory=directory,
        attempt_id=str(raw["attempt_id"]),
        attempt=int(raw["attempt"]),
        command=command,
        working_directory=Path(raw["working_directory"]),
        environment=_texts(raw["environment"]),
        rank_environments=ranks,
        grace_seconds=grace_seconds,
        log_limit_bytes=int(raw["log_limit_bytes"]),
        lock=Path(raw["lock"]),
        gate=Path(raw["gate"]),
    )


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {str(name): str(value) for name, value in values.items()}
