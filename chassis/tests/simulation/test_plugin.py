"""The options and fixtures of the pytest plug-in."""

import subprocess
import sys
from pathlib import Path

TESTS = """
def test_each(sim_seed):
    assert sim_seed in (5, 6, 7)

def test_all(sim_seeds):
    assert list(sim_seeds) == [5, 6, 7]
"""


def test_the_options_say_which_seeds_run(tmp_path: Path) -> None:
    (tmp_path / "test_seeds.py").write_text(TESTS)
    options = ["-p", "penstock_chassis.testing.plugin", "--sim-seeds=3", "--sim-first=5"]
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, "."],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "4 passed" in ended.stdout, ended.stdout + ended.stderr
