"""What `make demo` costs: seconds and memory, on warm caches.

Memory is the proportional set size (PSS) of all processes of the demo together, at its largest:
the script itself, the platform, its servers, training and serving. A page that several processes
share is counted once. The bounds are limits, not a peer's figures.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.processes import memory_mb, mentioning, tree
from benchmarks.report import finish

DEMO = Path(__file__).parents[1] / "examples" / "flights" / "demo.py"
SECONDS_MAX = 90.0
PSS_MB_MAX = 1000.0
SAMPLE_SECONDS = 0.2
COMMAND_LENGTH_MAX = 100


def all_of(pid: int, work: str) -> set[int]:
    """The demo's processes; runners of jobs detach, and are known by their folder."""
    return {each for root in {pid, *mentioning(work)} for each in tree(root)}


def command(pid: int) -> str:
    """The process's number and the start of its command line."""
    try:
        words = (Path("/proc") / str(pid) / "cmdline").read_bytes().decode().split("\0")
    except (FileNotFoundError, ProcessLookupError):
        words = ["ended"]
    return f"{pid} {' '.join(words)[:COMMAND_LENGTH_MAX]}"


def main() -> None:
    """Measure and report."""
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as work:
        started = time.monotonic()
        demo = subprocess.Popen([sys.executable, DEMO, "--work-dir", work], stdout=sys.stderr)
        largest: dict[str, float] = {}
        while demo.poll() is None:
            now = {command(pid): memory_mb([pid], "Pss") for pid in all_of(demo.pid, work)}
            largest = max(largest, now, key=lambda sample: sum(sample.values()))
            time.sleep(SAMPLE_SECONDS)
        seconds = time.monotonic() - started
    print("at its largest:", file=sys.stderr)
    for name, size_mb in sorted(largest.items(), key=lambda item: -item[1]):
        print(f"{size_mb:8.1f} MB  {name}", file=sys.stderr)
    total = sum(largest.values())
    if demo.returncode:
        raise SystemExit(f"the demo failed with exit status {demo.returncode}")
    finish(
        "demo",
        {"seconds": seconds, "largest memory MB (PSS, all processes)": total},
        {"seconds_to_90": seconds / SECONDS_MAX, "pss_to_1_gb": total / PSS_MB_MAX},
        {"seconds_to_90": "<=1", "pss_to_1_gb": "<=1"},
    )


if __name__ == "__main__":
    main()
