"""The planner's promises under random clusters, jobs and ends; and by example."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from penstock_scheduler.domain.planner import (
    Ask,
    Job,
    Limit,
    Offer,
    Phase,
    Place,
    Plan,
    Policy,
    Pool,
    QueueSpec,
    Shape,
    World,
    plan,
)
from penstock_scheduler.domain.planner.capacity import Buckets

QUEUES = (("a", "one"), ("a", "two"), ("b", "three"))
POLICY = Policy(min_run_seconds=30.0, aged_seconds=5000.0)

whole = st.builds(
    Shape,
    cpu_milli=st.integers(0, 4).map(lambda cores: 500 * cores),
    memory_bytes=st.sampled_from([0, 0, 1, 3]),
    gpu=st.sampled_from([1, 1, 2, 4]),
)
plain = st.builds(Shape, cpu_milli=st.integers(1, 3000))
share = st.builds(Shape, cpu_milli=st.just(100), gpu_milli=st.sampled_from([200, 500, 700]))


def ask_of(shape: st.SearchStrategy[Shape], *replicas: int) -> st.SearchStrategy[Ask]:
    return st.builds(
        Ask,
        shape=shape,
        replicas=st.sampled_from(replicas),
        depth=st.sampled_from([None, None, 0]),
        required=st.booleans(),
        priority=st.sampled_from([0, 0, 5]),
        preemptible=st.booleans(),
    )


asks = ask_of(whole | plain, 1, 1, 2, 3) | ask_of(share, 1)


def picture(world: World) -> object:
    """Everything that a plan could change, in a form that can be compared."""
    capacity = world.capacity
    return deepcopy(
        (
            world.jobs,
            world.holders,
            {level: line for level, line in enumerate(world.running) if line},
            [(n.pools, n.cpu_free, n.cpu_held, n.cpu_leaving, n.tenants) for n in capacity.nodes],
            {kind: dict(filled(buckets)) for kind, buckets in capacity.open.items()},
            [dict(filled(buckets)) for buckets in capacity.cpu],
            {kind: bits for kind, bits in capacity.shared.items() if bits},
            {
                ask: {q: list(line) for q, line in found.items()}
                for ask, found in world.lines.by_ask.items()
            },
            world.lines.count,
            world.quotas,
        )
    )


def filled(buckets: Buckets) -> Iterator[tuple[int, int]]:
    return ((number, bits) for number, bits in enumerate(buckets.sets) if bits)


class Cluster(RuleBasedStateMachine):
    """A cluster whose owner does what plans say, at once or later."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(POLICY)
        self.now = 1000.0
        self.asked = 0
        for queue, gpu in zip(QUEUES, (2, None, 3), strict=True):
            limit = Limit(gpu=None if gpu is None else gpu * 1000)
            self.world.configure(QueueSpec(queue, quota=limit, borrowing=Limit(None, 2000)))
        self.add_node(4)

    def add_node(self, gpus: int) -> None:
        number = len(self.world.capacity.nodes)
        pools = (Pool("a100", gpus),) if gpus else ()
        path = (f"rack-{number % 2}",)
        self.world.add_node(Offer(f"node-{number}", 4000, 4, pools, path))

    @precondition(lambda self: len(self.world.capacity.nodes) < 5)
    @rule(gpus=st.sampled_from([0, 1, 4, 4]))
    def grow(self, gpus: int) -> None:
        self.add_node(gpus)

    @rule(at=st.integers(0, 10), ready=st.booleans())
    def drain(self, at: int, ready: bool) -> None:
        nodes = self.world.capacity.nodes
        self.world.set_ready(nodes[at % len(nodes)].offer.name, ready)

    @rule(ask=asks, queue=st.sampled_from(QUEUES))
    def request(self, ask: Ask, queue: tuple[str, str]) -> None:
        self.asked += 1
        job = Job((queue[0], f"j{self.asked}"), queue, ask, self.asked, self.now)
        self.world.add(job)
        self.world.enqueue(job, self.now)

    @rule(seconds=st.sampled_from([0.0, 10.0, 100.0, 3000.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(at=st.integers(0, 50))
    def end(self, at: int) -> None:
        jobs = sorted(self.world.jobs)
        if jobs:
            self.world.remove(self.world.jobs[jobs[at % len(jobs)]], self.now)

    @rule(at=st.integers(0, 50))
    def go(self, at: int) -> None:
        """One that was told to leave has left, and waits again."""
        leaving = sorted(k for k, job in self.world.jobs.items() if job.phase is Phase.LEAVING)
        if leaving:
            job = self.world.jobs[leaving[at % len(leaving)]]
            self.world.vacate(job, self.now)
            self.world.enqueue(job, self.now)

    @rule(in_round=st.booleans())
    def decide(self, in_round: bool) -> None:
        self.world.ripen(self.now)
        before = picture(self.world)
        made = plan(self.world, self.now, in_round=in_round)
        assert picture(self.world) == before, "a plan leaves the world as it was"
        assert plan(self.world, self.now, in_round=in_round) == made, (
            "the same state, the same plan"
        )
        self.check(made)
        self.do(made)
        again = plan(self.world, self.now, in_round=False)
        assert not again.starts, "what could start has started"

    def check(self, made: Plan) -> None:
        held = {hold.job.key for hold in made.holds}
        for start in made.starts:
            assert sum(place.replicas for place in start.places) == start.job.ask.replicas
        for preemption in made.preemptions:
            victim = preemption.job
            assert victim.ask.preemptible
            assert victim.phase is Phase.RUNNING
            assert self.now - victim.since >= POLICY.min_run_seconds
            assert preemption.beneficiary.key in held, "nobody leaves for a job that does not fit"

    def do(self, made: Plan) -> None:
        for start in made.starts:
            self.world.start(start.job, start.places, self.now)
        for preemption in made.preemptions:
            self.world.leave(preemption.job, self.now)
        for hold in made.holds:
            self.world.hold(hold.job, hold.places)

    @invariant()
    def nothing_is_taken_twice(self) -> None:
        for node in self.world.capacity.nodes:
            tenants = node.tenants.values()
            assert node.cpu_free == node.offer.cpu_milli - sum(
                t.shape.cpu_milli * t.place.replicas for t in tenants
            )
            assert node.cpu_free >= 0
            assert node.memory_free >= 0
            whole = [g for t in tenants if t.shape.gpu for g in t.place.gpus]
            shares: dict[int, int] = {}
            for tenant in tenants:
                for device in tenant.place.gpus if tenant.shape.gpu_milli else ():
                    shares[device] = shares.get(device, 0) + tenant.shape.gpu_milli
            assert len(whole) == len(set(whole))
            assert not set(whole) & set(shares)
            assert all(share <= 1000 for share in shares.values())
            assert {*whole, *shares} <= set(range(node.offer.gpu))
            for pool in node.pools:
                assert sorted([*pool.free, *whole, *shares]) == list(range(node.offer.gpu))

    @invariant()
    def queues_hold_what_their_jobs_hold(self) -> None:
        for queue in QUEUES:
            placed = [j for j in self.world.jobs.values() if j.places and j.queue == queue]
            found = self.world.quotas.of(queue)
            assert found.gpu == sum(job.ask.amount.gpu for job in placed)
            quota, borrowing = found.spec.quota.gpu, found.spec.borrowing.gpu
            if quota is not None and borrowing is not None:
                assert found.gpu <= quota + borrowing

    @invariant()
    def a_gang_has_all_its_places_or_none(self) -> None:
        for job in self.world.jobs.values():
            assert sum(p.replicas for p in job.places) in (0, job.ask.replicas)
            assert bool(job.places) == (job.phase in (Phase.RUNNING, Phase.LEAVING))


TestCluster = Cluster.TestCase
TestCluster.settings = settings(max_examples=250, stateful_step_count=40, deadline=None)


@pytest.mark.long
class TestClusterForLong(Cluster.TestCase):
    """A million random events."""

    settings = settings(max_examples=16_000, stateful_step_count=60, deadline=None)


def cluster(*gpus: int, policy: Policy | None = None) -> World:
    world = World(policy or Policy())
    for number, count in enumerate(gpus):
        world.add_node(Offer(f"n{number}", 64_000, 0, (Pool("a100", count),)))
    return world


def waiting(world: World, name: str, ask: Ask, now: float = 0.0, queue: str = "default") -> Job:
    job = Job(("t", name), ("t", queue), ask, len(world.jobs) + 1, now)
    world.add(job)
    world.enqueue(job, now)
    return job


def run(world: World, now: float, *, in_round: bool = False) -> Plan:
    made = plan(world, now, in_round=in_round)
    for start in made.starts:
        world.start(start.job, start.places, now)
    return made


ONE = Ask(Shape(1000, gpu=1), preemptible=True)
FOUR = Ask(Shape(1000, gpu=4), preemptible=True)


def test_a_job_goes_where_it_leaves_the_least_room() -> None:
    world = cluster(8, 2, 4)
    waiting(world, "a", replace(ONE, shape=Shape(1000, gpu=2)))
    (start,) = run(world, 0.0).starts
    assert start.places == (Place("n1", 1, (0, 1), "a100"),)


def test_a_new_job_makes_one_leave_that_had_much_and_the_place_is_held_for_it() -> None:
    world = cluster(4)
    old = waiting(world, "old", FOUR)
    run(world, 0.0)
    new = waiting(world, "new", FOUR, 1000.0)
    assert not plan(world, 1000.0).preemptions, "only in a round"
    made = plan(world, 1000.0, in_round=True)
    assert [(p.job, p.beneficiary) for p in made.preemptions] == [(old, new)]
    assert [(hold.job, hold.places) for hold in made.holds] == [(new, (Place("n0", kind="a100"),))]
    world.leave(old, 1000.0)
    world.hold(new, made.holds[0].places)
    waiting(world, "small", ONE, 1001.0)
    assert not plan(world, 1001.0).starts, "nobody takes what is held"
    world.vacate(old, 1010.0)
    world.enqueue(old, 1010.0)
    assert [start.job for start in run(world, 1010.0).starts] == [new]


def test_jobs_of_like_standing_do_not_take_turns() -> None:
    world = cluster(4)
    waiting(world, "old", FOUR)
    run(world, 0.0)
    waiting(world, "new", FOUR, 301.0)
    assert plan(world, 301.0, in_round=True).preemptions
    world = cluster(4, policy=Policy(hysteresis=5.0))
    waiting(world, "old", FOUR)
    run(world, 0.0)
    waiting(world, "new", FOUR, 301.0)
    assert not plan(world, 301.0, in_round=True).preemptions


def test_small_jobs_are_moved_together_so_that_a_large_one_fits() -> None:
    world = cluster(4, 4)
    small = [waiting(world, f"s{n}", ONE) for n in range(8)]
    run(world, 0.0)
    for job in (small[0], small[1], small[2], small[5], small[6], small[7]):
        world.remove(job, 400.0)
    big = waiting(world, "big", FOUR, 400.0)
    made = plan(world, 400.0, in_round=True)
    assert [(p.job, p.beneficiary, p.to) for p in made.preemptions] == [
        (small[3], big, (Place("n1", kind="a100"),))
    ]
    assert {hold.job.key for hold in made.holds} == {big.key, small[3].key}


def test_what_a_queue_is_owed_is_reclaimed_from_those_that_borrow() -> None:
    world = cluster(4)
    world.configure(QueueSpec(("t", "mine"), quota=Limit(gpu=2000)))
    world.configure(QueueSpec(("t", "theirs"), quota=Limit(gpu=2000), borrowing=Limit(None, None)))
    theirs = [waiting(world, f"x{n}", ONE, queue="theirs") for n in range(4)]
    run(world, 0.0)
    assert all(job.places for job in theirs)
    waiting(world, "m1", ONE, 301.0, queue="mine")
    made = plan(world, 301.0, in_round=True)
    assert len(made.preemptions) == 1
    waiting(world, "x9", ONE, 301.0, queue="theirs")
    keys = [p.beneficiary.key for p in plan(world, 301.0, in_round=True).preemptions]
    assert ("t", "m1") in keys


def test_what_is_within_a_queues_quota_is_not_taken_by_another_queue() -> None:
    world = cluster(4)
    for name in ("mine", "theirs"):
        world.configure(QueueSpec(("t", name), quota=Limit(gpu=4000)))
    theirs = waiting(world, "old", FOUR, queue="theirs")
    run(world, 0.0)
    waiting(world, "new", FOUR, 100_000.0, queue="mine")
    assert not plan(world, 100_000.0, in_round=True).preemptions
    world.configure(QueueSpec(("t", "theirs"), quota=Limit(gpu=2000), borrowing=Limit(None, None)))
    assert [p.job for p in plan(world, 100_000.0, in_round=True).preemptions] == [theirs]


def test_a_job_that_its_place_is_held_for_keeps_nobody_behind_it_waiting() -> None:
    world = cluster(4, 4)
    old = waiting(world, "old", FOUR)
    other = waiting(world, "other", FOUR)
    run(world, 0.0)
    first = waiting(world, "first", FOUR, 1000.0)
    (hold,) = plan(world, 1000.0, in_round=True).holds
    world.leave(old, 1000.0)
    world.hold(first, hold.places)
    second = waiting(world, "second", FOUR, 1001.0)
    (preemption,) = plan(world, 1001.0, in_round=True).preemptions
    assert (preemption.job, preemption.beneficiary) == (other, second)
    world.remove(other, 1002.0)
    (start,) = run(world, 1002.0).starts
    assert (start.job, start.places[0].node) == (second, "n1")


def test_what_is_held_on_a_node_that_closes_is_held_no_longer() -> None:
    world = cluster(4, 4)
    old = waiting(world, "old", FOUR)
    waiting(world, "other", replace(FOUR, preemptible=False))
    run(world, 0.0)
    new = waiting(world, "new", FOUR, 1000.0)
    (hold,) = plan(world, 1000.0, in_round=True).holds
    world.leave(old, 1000.0)
    world.hold(new, hold.places)
    world.set_ready("n0", False)
    world.remove(world.jobs["t", "other"], 1001.0)
    (start,) = run(world, 1001.0).starts
    assert (start.job, start.places[0].node) == (new, "n1")


def test_a_job_that_may_not_be_preempted_stays() -> None:
    world = cluster(4)
    waiting(world, "old", replace(FOUR, preemptible=False))
    run(world, 0.0)
    waiting(world, "new", FOUR, 5000.0)
    assert not plan(world, 5000.0, in_round=True).preemptions


def test_one_that_waited_too_long_goes_first_and_stays() -> None:
    world = cluster(4, policy=Policy(aged_seconds=1000.0))
    old = waiting(world, "old", FOUR)
    waiting(world, "other", FOUR)
    run(world, 0.0)
    assert old.places
    world.vacate(old, 500.0)
    world.enqueue(old, 500.0)
    (start,) = run(world, 500.0).starts
    assert start.job.key[1] == "other", "it had less"
    waiting(world, "fresh", FOUR, 1400.0)
    (fresh,) = plan(world, 1400.0, in_round=True).preemptions
    assert (fresh.job, fresh.beneficiary.key[1]) == (start.job, "fresh")
    (aged,) = plan(world, 1600.0, in_round=True).preemptions
    assert aged.beneficiary == old
    world.vacate(start.job, 1600.0)
    world.enqueue(start.job, 1600.0)
    run(world, 1600.0)
    assert old.places
    assert not plan(world, 2300.0, in_round=True).preemptions


@pytest.mark.parametrize("required", [True, False])
def test_a_gang_lies_in_one_domain_where_that_is_asked(required: bool) -> None:
    world = World()
    for number in range(4):
        path = (f"rack-{number // 2}",)
        world.add_node(Offer(f"n{number}", 8000, 0, (Pool("a100", 4),), path))
    waiting(world, "a", replace(FOUR, replicas=1))
    waiting(world, "gang", replace(FOUR, replicas=2, depth=0, required=required))
    waiting(world, "late", replace(FOUR, replicas=2, depth=0, required=required))
    run(world, 0.0)
    assert [p.node for p in world.jobs["t", "gang"].places] == ["n2", "n3"]
    assert not world.jobs["t", "late"].places
