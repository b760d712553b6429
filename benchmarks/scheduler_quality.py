"""How long the jobs of a real cluster would have waited: Philly, 82,247 jobs, 110 days, 15 teams.

The planner in fast motion over the public trace of Microsoft's Philly clusters (Jeon et al., ATC
2019), beside first come first served in the same run (the oldest job that fits goes first, nobody
is preempted). Nodes have 8 GPUs; a job of up to 8 lies on one node, a larger one on whole nodes; a
restart costs 60 s; jobs that should give way are looked for once a minute; nobody knows how long a
job will run. Counted are jobs submitted from 2017-10-09 on, when the cluster has filled.

The trace is not part of this project. Where its folder is absent, the benchmark says so and ends.
"""

import argparse
import csv
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean

from benchmarks.report import finish

from penstock_scheduler.domain.planner import Ask, Offer, Policy, Pool, Shape
from penstock_scheduler.domain.simulation import Outcome, TraceJob, simulate

TRACES = Path(__file__).resolve().parents[2] / "shared" / "data" / "traces"
COUNTED_FROM = datetime(2017, 10, 9, tzinfo=UTC).timestamp()
GPUS_A_NODE = 8
DAY_SECONDS = 86_400.0
OURS = Policy(fair=False)
FIRST_COME = replace(OURS, attained=False, preempts=False, moves=False)
TARGETS = {
    "mean wait, of first come": "<=0.0333",
    "GPU time lost, %": "<=0.2",
    "mean completion, of no wait, 640 GPUs": "<=1.03",
    "mean completion, of no wait, 512 GPUs": "<=1.25",
    "mean wait where half may not be preempted, of first come": "<=0.0667",
    "seconds for the whole trace": "<=60",
}


@dataclass(frozen=True)
class Row:
    """What one run says. Times in seconds."""

    wait: float
    wait_of_large: float
    longest: float
    completion: float
    """Mean time from submission to end, of the mean run time."""
    lost_percent: float
    cpu_seconds: float


def philly(folder: Path) -> list[TraceJob]:
    """The trace; times in its file have no zone and are taken for UTC."""
    jobs = []
    with (folder / "philly" / "philly_jobs.csv").open(newline="") as file:
        for line in csv.DictReader(file):
            gpus = int(float(line["num_gpus"]))
            shape = Shape(0, gpu=min(gpus, GPUS_A_NODE))
            ask = Ask(shape, -(-gpus // GPUS_A_NODE), preemptible=True)
            submitted = datetime.fromisoformat(line["timestamp"]).replace(tzinfo=UTC).timestamp()
            queue = ("philly", line["cluster"])
            jobs.append(TraceJob(submitted, float(line["duration"]), ask, queue))
    return jobs


def measured(name: str, jobs: Sequence[TraceJob], gpus: int, policy: Policy) -> Row:
    """Run it, and print its row."""
    pools = (Pool("gpu", GPUS_A_NODE),)
    nodes = [Offer(f"node-{number}", 64_000, 0, pools) for number in range(gpus // GPUS_A_NODE)]
    before = time.process_time()
    outcome = simulate(jobs, nodes, policy=policy)
    row = summed(outcome, time.process_time() - before)
    print(
        f"  {name:<34} {gpus} GPUs  wait {row.wait:>8,.0f} s  of 8 GPUs or more "
        f"{row.wait_of_large:>8,.0f} s  longest {row.longest / DAY_SECONDS:5.1f} d  completion "
        f"{row.completion:6.3f}  lost {row.lost_percent:.2f} %  {row.cpu_seconds:5.1f} s of CPU",
        flush=True,
    )
    return row


def summed(outcome: Outcome, cpu_seconds: float) -> Row:
    """The figures of an outcome."""
    counted = [ended for ended in outcome.ended if ended.job.submitted >= COUNTED_FROM]
    large = [ended.waited for ended in counted if ended.job.ask.gpus >= GPUS_A_NODE]
    wait, run = fmean(e.waited for e in counted), fmean(e.job.seconds for e in counted)
    used = sum(ended.job.seconds * ended.job.ask.gpus for ended in outcome.ended)
    return Row(
        wait=wait,
        wait_of_large=fmean(large),
        longest=max(ended.waited for ended in counted),
        completion=(wait + run) / run,
        lost_percent=100 * outcome.lost_gpu_seconds / used,
        cpu_seconds=cpu_seconds,
    )


def main() -> None:
    """Run every row of the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--traces", type=Path, default=TRACES, help="the folder of the traces")
    folder = parser.parse_args().traces
    if not (folder / "philly" / "philly_jobs.csv").exists():
        print(f"skipped: there is no philly/philly_jobs.csv in {folder}; name it with --traces")
        sys.exit(0)
    jobs = philly(folder)
    half = [
        replace(job, ask=replace(job.ask, preemptible=number % 2 == 0))
        for number, job in enumerate(sorted(jobs, key=lambda job: job.submitted))
    ]
    first = measured("first come, first served", jobs, 640, FIRST_COME)
    ours = measured("attained service", jobs, 640, OURS)
    tight = measured("attained service", jobs, 512, OURS)
    some = measured("half may not be preempted", half, 640, OURS)
    finish(
        "scheduler quality (Philly)",
        {"first come, mean wait, s": first.wait, "ours, mean wait, s": ours.wait},
        {
            "mean wait, of first come": ours.wait / first.wait,
            "mean wait of 8 GPUs or more, of first come": ours.wait_of_large / first.wait_of_large,
            "longest wait, of first come": ours.longest / first.longest,
            "GPU time lost, %": ours.lost_percent,
            "mean completion, of no wait, 640 GPUs": ours.completion,
            "mean completion, of no wait, 512 GPUs": tight.completion,
            "mean wait where half may not be preempted, of first come": some.wait / first.wait,
            "seconds for the whole trace": ours.cpu_seconds,
        },
        TARGETS,
    )


if __name__ == "__main__":
    main()
