"""The trainer on the simulated bus: crashes at every port call, faults of the bus."""

import sys
import tempfile
from pathlib import Path

from penstock_chassis.service import Service
from penstock_chassis.testing import (
    Build,
    Pause,
    Scenario,
    SimLog,
    SimPorts,
    SimWorld,
    assert_survives_crashes,
    assert_survives_seeds,
    causes_known,
    facts_once,
    no_duplicate_ids,
    wishes_answered,
)
from penstock_schemas import (
    JobCancelRequested,
    JobFailed,
    JobStarted,
    ObjectRef,
)
from penstock_trainer.app import build
from penstock_trainer.settings import TrainerSettings
from penstock_trainer.testing import FakeLauncher

sys.path.insert(0, str(Path(__file__).parent))
from simulated_jobs import ended, is_end, request, scripts, started, toy_scheduler

LAUNCHERS: dict[int, FakeLauncher] = {}
"""By the identity of the world: what the check looks at."""
MISSING = ObjectRef(uri="s3://penstock/default/x", digest="blake3:" + "9f" * 32, size_bytes=1)


def setup(world: SimWorld) -> dict[str, Build]:
    launcher = FakeLauncher()
    LAUNCHERS.clear()
    LAUNCHERS[id(world)] = launcher
    world.spawn(scripts(launcher, set()))
    settings = TrainerSettings(work_dir=Path(tempfile.gettempdir()) / "penstock-trainer-simulated")

    def trainer(ports: SimPorts) -> Service:
        return build(settings, ports, ports.crashable(launcher))

    return {"trainer": trainer, "scheduler": toy_scheduler}


def check(log: SimLog) -> None:
    no_duplicate_ids(log)
    causes_known(log)
    facts_once(log, "job.started", field="attempt")
    facts_once(log, "job.failed", field="attempt")
    assert not log.dead_letters
    for item in log:
        if item.type == "job.requested":
            assert sum(is_end(other) for other in log if other.aggregate == item.aggregate) == 1
    launcher = LAUNCHERS[id(log.world)]
    assert len(launcher.starts) == len(set(launcher.starts))
    started = [item.event for item in log if isinstance(item.event, JobStarted)]
    claims = {(event.job, event.attempt) for event in started}
    assert {(one.job, one.attempt) for one in launcher.starts} <= claims
    metrics = log.world.telemetry.all_after(("telemetry.default.job.metric.*",))
    assert len(metrics) == sum(one.job != "endless" for one in launcher.starts)


RETRIED = Scenario(setup, publish=[request("flaky")], until=ended("flaky"))
CANCELLED = Scenario(
    setup,
    publish=[request("endless"), started("endless"), Pause(1), JobCancelRequested(job="endless")],
    until=ended("endless"),
)
MISSING_INPUT = Scenario(
    setup, publish=[request("lame", inputs={"training": MISSING})], until=ended("lame")
)


def test_a_failing_job_is_tried_again_and_succeeds_through_every_crash() -> None:
    assert_survives_crashes(RETRIED, check)


def test_a_cancelled_job_ends_once_through_every_crash() -> None:
    def cancelled(log: SimLog) -> None:
        check(log)
        wishes_answered(log, "job.cancel-requested", "job.cancelled")

    assert_survives_crashes(CANCELLED, cancelled)


def test_a_missing_input_fails_the_job_for_good_and_starts_nothing() -> None:
    log = MISSING_INPUT.run()
    check(log)
    assert not LAUNCHERS[id(log.world)].starts
    (failed,) = (item.event for item in log if isinstance(item.event, JobFailed))
    assert failed.final
    assert "input" in failed.reason


def test_jobs_survive_the_faults_of_the_bus(sim_seeds: range) -> None:
    publish = [request("plain"), *CANCELLED.publish, request("flaky")]
    scenario = Scenario(setup, publish, until=ended("plain", "endless", "flaky"))

    def without_metrics(log: SimLog) -> None:
        no_duplicate_ids(log)
        facts_once(log, "job.started", field="attempt")
        facts_once(log, "job.succeeded", "job.cancelled")
        starts = LAUNCHERS[id(log.world)].starts
        assert len(starts) == len(set(starts))

    assert_survives_seeds(scenario, without_metrics, sim_seeds)
