"""Freed memory goes back to the machine."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys, threading
from pathlib import Path
from penstock_chassis.memory import give_freed_memory_back

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

told = give_freed_memory_back() if sys.argv[1] == "told" else None
before = resident()
kept = [bytearray(2_000_000)]  # glibc raises its threshold by what is freed
for _ in range(3):
    kept = [bytearray(2_000_000) for _ in range(50)] + [bytes(10)]
    last = bytearray(100)
    kept.clear()
print(told, (resident() - before) // 1_000_000)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="of glibc")
def test_what_is_freed_goes_back() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "told"], capture_output=True, text=True, check=True
    )
    told, kept_mb = done.stdout.split()
    if told == "False":
        pytest.skip("the C library is not glibc")
    assert int(kept_mb) < 5
