"""A cluster in fast motion: every job ends once, and the policy keeps what it promises."""

import random
from collections.abc import Iterator
from statistics import fmean

import pytest

from penstock_scheduler.domain.planner import Ask, Limit, Offer, Policy, Pool, QueueSpec, Shape
from penstock_scheduler.domain.simulation import Outcome, TraceJob, simulate

NODES = [Offer(f"n{number}", 64_000, 0, (Pool("a100", 8),)) for number in range(4)]
FIRST_COME = Policy(attained=False, preempts=False, moves=False)
RESTART_SECONDS = 60.0


def trace(seed: int, count: int = 600, *, preemptible: bool = True) -> Iterator[TraceJob]:
    """Jobs as clusters see them: most are small and short, a few hold much for long."""
    chance = random.Random(seed)
    now = 0.0
    for _ in range(count):
        now += chance.expovariate(1 / 250.0)
        gpus = chance.choice([1, 1, 1, 1, 2, 4, 8, 16])
        shape, replicas = (Shape(1000, gpu=gpus), 1) if gpus <= 8 else (Shape(8000, gpu=8), 2)
        seconds = min(chance.lognormvariate(6.0, 2.0), 5e5)
        queue = ("team", chance.choice(["one", "two"]))
        yield TraceJob(now, seconds, Ask(shape, replicas, preemptible=preemptible), queue)


def mean_wait(outcome: Outcome) -> float:
    return fmean(ended.waited for ended in outcome.ended)


@pytest.mark.parametrize("seed", range(3))
def test_every_job_ends_once_and_none_sooner_than_it_can(seed: int) -> None:
    jobs = list(trace(seed))
    outcome = simulate(jobs, NODES, restart_seconds=RESTART_SECONDS)
    assert sorted(id(e.job) for e in outcome.ended) == sorted(map(id, jobs))
    for ended in outcome.ended:
        assert ended.waited >= ended.preemptions * RESTART_SECONDS - 1e-3
    assert outcome.preempted + outcome.moved == sum(e.preemptions for e in outcome.ended)
    assert simulate(jobs, NODES, restart_seconds=RESTART_SECONDS) == outcome, "deterministic"


def test_jobs_wait_for_a_fraction_of_first_come_first_served() -> None:
    ours = theirs = 0.0
    for seed in range(5):
        jobs = list(trace(seed))
        ours += mean_wait(simulate(jobs, NODES))
        theirs += mean_wait(simulate(jobs, NODES, policy=FIRST_COME))
    assert ours < theirs / 5, (ours, theirs)


def test_jobs_that_may_not_be_preempted_never_are() -> None:
    outcome = simulate(trace(1, preemptible=False), NODES)
    assert (outcome.preempted, outcome.moved, outcome.lost_gpu_seconds) == (0, 0, 0.0)


def test_a_job_that_no_such_cluster_holds_is_named_and_the_others_run() -> None:
    jobs = [
        TraceJob(0.0, 10.0, Ask(Shape(1000, gpu=9))),
        TraceJob(0.0, 10.0, Ask(Shape(1000, gpu=8), 5)),
        TraceJob(0.0, 10.0, Ask(Shape(1000, gpu=8), 4)),
    ]
    outcome = simulate(jobs, NODES)
    assert outcome.impossible == jobs[:2]
    assert [ended.ended for ended in outcome.ended] == [10.0]


def test_a_queue_gets_what_it_is_owed_although_another_asks_for_all() -> None:
    greedy = [TraceJob(0.0, 1e5, Ask(Shape(0, gpu=8), preemptible=True), ("t", "a"))] * 8
    late = [TraceJob(1000.0, 100.0, Ask(Shape(0, gpu=8)), ("t", "b")) for _ in range(2)]
    owed = QueueSpec(("t", "b"), quota=Limit(gpu=16_000))
    outcome = simulate([*greedy, *late], NODES, queues=[owed])
    waits = [ended.waited for ended in outcome.ended if ended.job in late]
    longest = Policy().min_run_seconds + Policy().round_seconds
    assert len(waits) == 2
    assert max(waits) <= longest, "no later than those who borrow may be told to leave"
