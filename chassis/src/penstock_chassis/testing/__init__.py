"""Testing of services: the simulated bus, virtual time, crashes at every port call.

A service's test says once what happens, and once what must hold of the log afterwards:

    from penstock_chassis.testing import *

    def setup(world: SimWorld) -> dict[str, Build]:
        cluster = FakeCluster(world.spawn)  # the world's own: no crash of a service touches it
        return {"trainer": lambda ports: build_trainer(ports, ports.crashable(cluster))}

    scenario = Scenario(setup, publish=[JobRequested(...), Pause(5), JobCancelRequested(...)])

    def check(log: SimLog) -> None:  # a list[Recorded]; log.dead_letters, log.world beside
        no_duplicate_ids(log)
        facts_once(log, "job.started", field="attempt")
        wishes_answered(log, "job.requested", "job.succeeded", "job.failed", "job.rejected")
        assert not log.dead_letters

    def test_a_job_survives_a_crash_at_every_port_call() -> None:
        assert_survives_crashes(scenario, check)

    def test_a_job_survives_faults_of_the_bus(sim_seeds: range) -> None:
        assert_survives_seeds(scenario, check, sim_seeds)

Run more seeds with `pytest --sim-seeds=1000`. Repeat a failure by its seed and crash point:
`scenario.run(17, faults=ROUGH, crashes={"trainer": CrashPlan(12, "after")})`.
"""

from penstock_chassis.testing.checkers import (
    causes_known,
    facts_once,
    no_duplicate_ids,
    wishes_answered,
)
from penstock_chassis.testing.harness import (
    ROUGH,
    Check,
    Failure,
    assert_none,
    assert_survives_crashes,
    assert_survives_seeds,
    crash_everywhere,
    seeds,
)
from penstock_chassis.testing.loop import EPOCH, DeadlockError, LimitReachedError, SimClock, run
from penstock_chassis.testing.scenario import (
    Build,
    Pause,
    Scenario,
    ScenarioError,
    Setup,
    SimLog,
    Until,
)
from penstock_chassis.testing.simbus import (
    NO_FAULTS,
    CrashPlan,
    Faults,
    SimCrash,
    SimPorts,
    SimWorld,
)

__all__ = [
    "EPOCH",
    "NO_FAULTS",
    "ROUGH",
    "Build",
    "Check",
    "CrashPlan",
    "DeadlockError",
    "Failure",
    "Faults",
    "LimitReachedError",
    "Pause",
    "Scenario",
    "ScenarioError",
    "Setup",
    "SimClock",
    "SimCrash",
    "SimLog",
    "SimPorts",
    "SimWorld",
    "Until",
    "assert_none",
    "assert_survives_crashes",
    "assert_survives_seeds",
    "causes_known",
    "crash_everywhere",
    "facts_once",
    "no_duplicate_ids",
    "run",
    "seeds",
    "wishes_answered",
]
