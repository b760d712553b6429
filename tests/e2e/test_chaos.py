"""The demo, whole and real, while things are killed: nothing lost, nothing twice,
and what was seen at any moment can be seen again."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from chaos import KILLS, ChaosRun, pretty
from checker import violations
from runs import double_runs, overlapping_runs, unclaimed_runs

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
GLANCES_MIN = 50
QUICK_SEEDS = (1, 2, 3)
LONG_SEEDS = tuple(range(100, 120))


def _survives(seed: int, work: Path) -> None:
    run = ChaosRun(work, seed)
    try:
        status = run.play()
        assert status == 0, pretty(run, work / "demo.log")
        assert len(run.killed) == KILLS, f"fewer kills show nothing: {run.killed}"
        events, rows = run.events(), run.rows()
        assert violations(events) == [], run.killed
        ran = run.runs()
        assert ran, "the runners left no evidence"
        assert double_runs(ran) + overlapping_runs(ran) + unclaimed_runs(ran, events) == []
        assert run.dead_letters() == []
        assert len(run.glances) > GLANCES_MIN
        assert [d for d in map(run.differs_from_then, run.glances) if d] == []
        run.restart()
        assert run.rows() == rows, "what is rebuilt from the log differs from what was live"
        assert len(run.events()) == len(events), "a restart of a finished platform says nothing"
    finally:
        run.stop()


@pytest.mark.parametrize("seed", QUICK_SEEDS)
def test_the_demo_finishes_whatever_is_killed(seed: int, tmp_path: Path) -> None:
    _survives(seed, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("seed", LONG_SEEDS)
def test_the_demo_finishes_whatever_is_killed_with_many_seeds(seed: int, tmp_path: Path) -> None:
    _survives(seed, tmp_path)
