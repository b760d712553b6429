"""When processes of jobs really ran, by what their runners left on the trainers' disks.

The log says what services believed; this is what happened. Of each attempt that began, its runner
wrote `runner.json` before anything was started and `exit.json` at its end; where it was killed, its
trainer wrote `lost.json` once nothing of it was left. All times are of one machine's clock.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

ENDS = ("exit.json", "lost.json")


@dataclass(frozen=True, order=True)
class Run:
    """One runner's life: an attempt in unix seconds, infinite where it has not ended."""

    namespace: str
    job: str
    start: float
    end: float
    attempt: int
    pid: int


def runs_below(jobs: Path) -> list[Run]:
    """Every run that began below a launcher's root (`<work_dir>/jobs`)."""
    found = []
    for claim in sorted(jobs.glob("*/*/attempts/*/runner.json")):
        said = json.loads(claim.read_text())
        namespace, job = claim.parts[-5], claim.parts[-4]
        pid, start = said["pid"], said["claimed_at"]
        found.append(Run(namespace, job, start, _end(claim.parent), said["attempt"], pid))
    return found


def _end(attempt: Path) -> float:
    """When it was over: as recorded, or when it was proved that nothing of it was left."""
    for name in ENDS:
        path = attempt / name
        if path.exists():
            recorded = json.loads(path.read_text()).get("ended_at")
            return float(recorded if recorded is not None else path.stat().st_mtime)
    return float("inf")


def double_runs(runs: Iterable[Run]) -> list[str]:
    """Attempts that ran more than once, on one disk or on two."""
    counted = Counter((run.namespace, run.job, run.attempt) for run in runs)
    return [f"{attempt} ran {count} times" for attempt, count in counted.items() if count > 1]


def overlapping_runs(runs: Sequence[Run]) -> list[str]:
    """Runs of one job side by side."""
    return [
        f"{one} ran beside {other}"
        for one, other in pairwise(sorted(runs))
        if (one.namespace, one.job) == (other.namespace, other.job) and other.start < one.end
    ]


def unclaimed_runs(runs: Iterable[Run], events: Iterable[dict[str, Any]]) -> list[str]:
    """Attempts that ran and that no `job.started` claimed; a succeeded one that never ran."""
    attempts: dict[str, set[tuple[str, str, int]]] = {"job.started": set(), "job.succeeded": set()}
    for event in events:
        if event["type"] in attempts:
            of = (event["namespace"], event["subject_id"], event["data"]["attempt"])
            attempts[event["type"]].add(of)
    ran = {(run.namespace, run.job, run.attempt) for run in runs}
    unclaimed = sorted(ran - attempts["job.started"])
    imagined = sorted(attempts["job.succeeded"] - ran)
    return [f"{one} ran unclaimed" for one in unclaimed] + [
        f"{one} succeeded and never ran" for one in imagined
    ]
