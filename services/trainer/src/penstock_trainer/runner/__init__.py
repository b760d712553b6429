"""The small process that owns one attempt of one job on one node (`penstock-run`).

It claims the attempt, starts the ranks, keeps their logs, stops them when asked, and writes down
how they ended. It outlives the trainer, which finds it again by its files. It imports nothing but
the standard library, so that it starts in milliseconds and also runs alone in a container.

Files in the attempt's directory:

- `spec.json`    read: what to run (see `spec.py`)
- `stop.json`    read: a wish to stop, `{"grace_seconds": float, "reason": str}`
- `runner.json`  written once, before anything is started: the claim (see `claim.py`)
- `exit.json`    written last, once no process of the attempt is left (see `supervise.py`)
- `logs/rank-<n>.log`, `runner.log`

Exit codes of the process itself. In the foreground it otherwise mirrors its ranks' code; with
`--detach` it exits with `CLAIMED` as soon as the attempt is claimed.
"""

from __future__ import annotations

from typing import Final

CLAIMED: Final = 0
CRASHED: Final = 70
"""The runner itself failed; its message is on stderr or in `runner.log`."""
LOCKED: Final = 75
"""Another attempt of the job is alive: nothing was touched."""
ALREADY_CLAIMED: Final = 76
"""This attempt was started before, by another runner: nothing was touched."""
SUPERSEDED: Final = 77
"""A later attempt exists, so this one must never start: nothing was touched."""
BAD_SPEC: Final = 78
"""`spec.json` is missing or not valid: nothing was touched."""

ATTEMPT_ID_VARIABLE: Final = "PENSTOCK_ATTEMPT_ID"
"""Carried by every process of an attempt: the mark by which orphans are found."""


class RunnerError(Exception):
    """The runner cannot go on."""


class Refused(RunnerError):
    """The attempt must not be started by this runner; `code` is the exit code that says why."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
