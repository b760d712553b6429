"""What the platform costs when it does nothing: time to ready, memory, processor.

`penstock up` on a new directory, warm file cache. Memory is the proportional set size (PSS) and
the resident set size of all its processes together; the processor share is measured over a while
of idling, in percent of one core. The bounds are the issue's limits, not a peer's figures.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.processes import memory_mb, tree
from benchmarks.report import finish

READY_SECONDS_MAX = 5.0
IDLE_RSS_MB_MAX = 600.0
IDLE_CPU_PERCENT_MAX = 3.0
SETTLE_SECONDS = 10.0
IDLE_SECONDS = 30.0
ROUNDS = 3
TICKS = os.sysconf("SC_CLK_TCK")


def start(directory: Path) -> tuple[subprocess.Popen[str], float]:
    """Start the platform; the process and the seconds from its start to ready."""
    started = time.monotonic()
    process = subprocess.Popen(
        [Path(sys.executable).with_name("penstock"), "up", "--data-dir", directory, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    json.loads(process.stdout.readline())
    return process, time.monotonic() - started


def stop(process: subprocess.Popen[str]) -> float:
    """Stop it in order; the seconds that took."""
    started = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.wait(60)
    assert process.stdout is not None
    process.stdout.close()
    return time.monotonic() - started


def cpu_seconds(pids: list[int]) -> float:
    """Processor seconds that these processes have used."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def main() -> None:
    """Measure and report."""
    ready, stopping = [], []
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
        for number in range(ROUNDS):
            print(f"start {number + 1} of {ROUNDS} …", file=sys.stderr)
            process, seconds = start(Path(folder) / str(number))
            ready.append(seconds)
            if number < ROUNDS - 1:
                stopping.append(stop(process))
        print(f"idling {SETTLE_SECONDS + IDLE_SECONDS:.0f} s …", file=sys.stderr)
        time.sleep(SETTLE_SECONDS)
        pids = list(tree(process.pid))
        before = cpu_seconds(pids)
        time.sleep(IDLE_SECONDS)
        cpu = (cpu_seconds(pids) - before) / IDLE_SECONDS * 100
        rss, pss = memory_mb(pids, "Rss"), memory_mb(pids, "Pss")
        stopping.append(stop(process))
    finish(
        "platform",
        {
            "seconds to ready": min(ready),
            "idle resident memory MB (RSS, all processes)": rss,
            "idle proportional memory MB (PSS)": pss,
            "idle percent of one core": cpu,
            "processes": float(len(pids)),
            "seconds to stop": min(stopping),
            "seconds to stop, slowest": max(stopping),
        },
        {
            "ready_to_5_s": min(ready) / READY_SECONDS_MAX,
            "rss_to_600_mb": rss / IDLE_RSS_MB_MAX,
            "cpu_to_3_percent": cpu / IDLE_CPU_PERCENT_MAX,
        },
        {"ready_to_5_s": "<=1", "rss_to_600_mb": "<=1", "cpu_to_3_percent": "<=1"},
    )


if __name__ == "__main__":
    main()
