"""Crash everywhere, then seeds: the two searches for what a service does wrong.

Both are plain functions for plain (not async) tests. A failure says the seed and the crash point,
which together reproduce it: `scenario.run(seed, faults=..., crashes={service: CrashPlan(...)})`.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from penstock_chassis.testing.scenario import Scenario, SimLog
from penstock_chassis.testing.simbus import NO_FAULTS, CrashPlan, Faults, SimCrash
from penstock_chassis.testing.simbus.faults import Side

FAILURES_SHOWN_MAX = 3
ROUGH = Faults.rough(0.1)

Check = Callable[[SimLog], None]
"""Raises where something does not hold of the log (a list of `Recorded`)."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A run whose check failed, and how to repeat it."""

    seed: int
    error: Exception
    service: str = ""
    plan: CrashPlan | None = None
    faults: Faults = NO_FAULTS
    crashed: str = ""

    def __str__(self) -> str:
        crash = f", {self.service} died {self.plan} ({self.crashed})" if self.plan else ""
        faults = f", {self.faults}" if self.faults != NO_FAULTS else ""
        return f"seed {self.seed}{crash}{faults}: {type(self.error).__name__}: {self.error}"

    __repr__ = __str__


def crash_everywhere(
    scenario: Scenario, check: Check, *, seed: int = 0, services: Sequence[str] = ()
) -> Iterator[Failure]:
    """Run once cleanly, then once for each port call of each service and each side of it.

    The service dies there, starts again, and `check` must hold of the log. `services` limits
    who dies (all, if empty). The clean run must pass too. Yields the failures.
    """
    log, failure = _attempt(scenario, check, Failure(seed, AssertionError()))
    if failure is not None:
        yield failure
    if log is None:
        return
    for service in services or sorted(log.calls):
        for at in range(1, log.calls[service] + 1):
            for plan in (CrashPlan(at, "before"), CrashPlan(at, "after")):
                _, failure = _attempt(
                    scenario, check, Failure(seed, AssertionError(), service, plan)
                )
                if failure is not None:
                    yield failure


def seeds(
    scenario: Scenario, check: Check, n: int | range, *, faults: Faults = ROUGH, crash: bool = True
) -> Iterator[Failure]:
    """Run `n` seeds (or a range of them) with faults and one random crash of one service each.

    Yields the failures.
    """
    chosen = range(n) if isinstance(n, int) else n
    clean = scenario.run()
    for seed in chosen:
        chance = random.Random(f"crash of seed {seed}")
        service = chance.choice(sorted(clean.calls))
        side: Side = "before" if chance.random() < 0.5 else "after"
        plan = CrashPlan(chance.randint(1, clean.calls[service]), side) if crash else None
        _, failure = _attempt(
            scenario, check, Failure(seed, AssertionError(), service, plan, faults)
        )
        if failure is not None:
            yield failure


def assert_none(failures: Iterator[Failure]) -> None:
    """Exhaust a search; raises `AssertionError` with the first failures and their number."""
    found = list(failures)
    if found:
        shown = "\n".join(f"- {failure}" for failure in found[:FAILURES_SHOWN_MAX])
        raise AssertionError(f"{len(found)} runs failed, the first:\n{shown}") from found[0].error


def assert_survives_crashes(scenario: Scenario, check: Check, *, seed: int = 0) -> None:
    """`crash_everywhere` must find nothing."""
    assert_none(crash_everywhere(scenario, check, seed=seed))


def assert_survives_seeds(
    scenario: Scenario, check: Check, n: int | range, *, faults: Faults = ROUGH
) -> None:
    """`seeds` must find nothing."""
    assert_none(seeds(scenario, check, n, faults=faults))


def _attempt(
    scenario: Scenario, check: Check, planned: Failure
) -> tuple[SimLog | None, Failure | None]:
    crashes = {planned.service: planned.plan} if planned.plan is not None else {}
    log: SimLog | None = None
    try:
        log = scenario.run(planned.seed, faults=planned.faults, crashes=crashes)
        check(log)
    except (Exception, SimCrash) as error:  # noqa: BLE001 - whatever goes wrong is a finding
        crashed = "; ".join(log.crashes) if log is not None else "the run itself failed"
        failure = error if isinstance(error, Exception) else AssertionError(repr(error))
        return log, Failure(
            planned.seed, failure, planned.service, planned.plan, planned.faults, crashed
        )
    return log, None
