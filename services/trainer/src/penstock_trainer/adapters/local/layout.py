"""Where a local attempt's files are.

<root>/identity.json                   names this folder; made once, goes with it
<root>/<namespace>/<job>/lock          held by the living runner (never deleted)
                         gate          held while preparing, claiming, judging (never deleted)
                         checkpoints/  kept between attempts
                         attempts/<n>/ spec.json runner.json stop.json exit.json lost.json
                                       metrics.jsonl result.json work/ outputs/ logs/
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from penstock_trainer.ports import AttemptId

IDENTITY: Final = "identity.json"
PREPARING_PREFIX: Final = ".preparing-"


class JobPaths:
    """The paths of a job, shared by its attempts."""

    def __init__(self, root: Path, namespace: str, job: str) -> None:
        self.directory = root / namespace / job
        self.lock = self.directory / "lock"
        self.gate = self.directory / "gate"
        self.attempts = self.directory / "attempts"
        self.checkpoints = self.directory / "checkpoints"


class AttemptPaths:
    """The paths of one attempt."""

    def __init__(self, root: Path, attempt: AttemptId) -> None:
        self.id = attempt
        self.job = JobPaths(root, attempt.namespace, attempt.job)
        self.directory = self.job.attempts / str(attempt.attempt)
        self.spec = self.directory / "spec.json"
        self.claim = self.directory / "runner.json"
        self.stop = self.directory / "stop.json"
        self.exit = self.directory / "exit.json"
        self.lost = self.directory / "lost.json"
        self.metrics = self.directory / "metrics.jsonl"
        self.result = self.directory / "result.json"
        self.work = self.directory / "work"
        self.outputs = self.directory / "outputs"
        self.logs = self.directory / "logs"

    def log(self, rank: int) -> Path:
        """Where a rank's output is."""
        return self.logs / f"rank-{rank}.log"
