"""The rules of the scheduler under random histories, and by example."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from penstock_chassis.message import Draft, Recorded
from penstock_scheduler.domain import (
    PLACEMENTS_MAX,
    State,
    decide_cancel,
    decide_inventory,
    decide_plan,
    decide_queue,
    decide_request,
    decide_requeue,
    evolve,
    explain,
    fits_now,
    plan,
)
from penstock_scheduler.domain.rules import inventory_cause, plan_cause
from penstock_schemas import (
    SYSTEM_NAMESPACE,
    Event,
    JobCancelled,
    JobCancelRequested,
    JobFailed,
    JobPlaced,
    JobQueued,
    JobRejected,
    JobRequested,
    JobSucceeded,
    NodeDrained,
    NodeLost,
    NodeRegistered,
    PlanCommitted,
    Program,
    QueueConfigured,
    QueueRejected,
    QueueRequested,
    Resources,
)

TEAM = "vision"
NOW = datetime(2026, 11, 24, tzinfo=UTC)
PROGRAM = Program(command=("true",))


class Book:
    """A log in memory and the state folded from it."""

    def __init__(self, *nodes: NodeRegistered) -> None:
        self.log: list[Recorded] = []
        self.state = State()
        for node in nodes:
            self.say(node, SYSTEM_NAMESPACE)

    def say(self, event: Event, namespace: str = TEAM, cause: Recorded | None = None) -> Recorded:
        sequence = len(self.log) + 1
        recorded = Recorded(
            event=event,
            namespace=namespace,
            sequence=sequence,
            time=NOW,
            id=f"event-{sequence}",
            source="test",
            correlation_id=cause.correlation_id if cause else f"event-{sequence}",
            causation_id=cause.id if cause else None,
        )
        self.log.append(recorded)
        self.state = evolve(self.state, recorded)
        return recorded

    def said(
        self, decided: Sequence[Event | Draft], cause: Recorded | None = None, namespace: str = TEAM
    ) -> list[Recorded]:
        drafts = [d if isinstance(d, Draft) else Draft(d, namespace) for d in decided]
        return [self.say(d.event, d.namespace, cause) for d in drafts]

    def settle(self) -> list[JobPlaced]:
        """Plan as the handlers do, until nothing can start; what was placed."""
        placed: list[JobPlaced] = []
        while (planned := plan(self.state)).placements:
            assert plan(self.state) == planned
            decided = decide_plan(self.state, "default", plan_cause(planned))
            assert len(decided) == len(planned.placements) + 1
            placed += [r.event for r in self.said(decided) if isinstance(r.event, JobPlaced)]
        return placed

    def queue(self, job: str, cpu: float = 1, gpu: int = 0, memory: int = 0, **more: str) -> None:
        """Request a job and queue it."""
        namespace = more.pop("namespace", TEAM)
        message = self.say(asked(job, cpu, gpu, memory, **more), namespace)
        decided = decide_request(self.state, message, ())
        assert isinstance(decided[0], JobQueued), decided
        self.said(decided, message, namespace)


def asked(job: str, cpu: float = 1, gpu: int = 0, memory: int = 0, **more: str) -> JobRequested:
    resources = Resources(cpu=cpu, memory_bytes=memory, gpu=gpu)
    return JobRequested(job=job, program=PROGRAM, resources=resources, **more)


def node(name: str = "local", cpu: float = 4, gpu: int = 0, memory: int = 0) -> NodeRegistered:
    resources = Resources(cpu=cpu, memory_bytes=memory, gpu=gpu)
    return NodeRegistered(node=name, resources=resources)


def test_the_oldest_job_that_fits_goes_first_and_says_what_it_passed() -> None:
    book = Book(node(cpu=4))
    book.queue("first", cpu=3)
    book.queue("big", cpu=2)
    book.queue("small", cpu=1)
    first, small = book.settle()
    assert (first.job, small.job) == ("first", "small")
    assert first.reason == "first in queue default; 4 of 4 CPUs were free on local"
    assert small.reason == (
        "passes 1 job of queue default not ready to start; 1 of 4 CPUs were free on local"
    )
    assert explain(book.state, TEAM, "big") == "needs 2 CPUs; 0 of 4 CPUs free on local"
    book.queue("late", cpu=1)
    assert explain(book.state, TEAM, "late") == (
        "needs 1 CPU; 0 of 4 CPUs free on local; behind 1 job in queue default"
    )


def test_a_failed_job_keeps_its_place_in_the_queue() -> None:
    book = Book(node(cpu=1))
    book.queue("a")
    book.queue("b")
    book.settle()
    failed = book.say(JobFailed(job="a", attempt=1, reason="killed", final=False))
    (queued,) = book.said(decide_requeue(book.state, failed), failed)
    assert queued.event.attempt == 2
    assert [p.job for p in book.settle()] == ["a"]
    assert decide_requeue(book.state, failed) == []


def test_an_old_attempt_cannot_end_the_present_one() -> None:
    book = Book(node(cpu=1))
    book.queue("a")
    book.settle()
    failed = book.say(JobFailed(job="a", attempt=1, reason="killed", final=False))
    book.said(decide_requeue(book.state, failed), failed)
    book.settle()
    book.say(JobSucceeded(job="a", attempt=1, seconds=1))
    book.say(JobFailed(job="a", attempt=1, reason="late news", final=True))
    assert explain(book.state, TEAM, "a") == "attempt 2 has its place on local"


def test_gpus_are_given_out_by_index_and_taken_back() -> None:
    book = Book(node(cpu=8, gpu=3))
    for job in ("a", "b"):
        book.queue(job, gpu=1)
    book.queue("c", gpu=2)
    a, b = book.settle()
    assert (a.gpus, b.gpus) == ((0,), (1,))
    assert explain(book.state, TEAM, "c") == ("needs 1 CPU and 2 GPUs; 1 of 3 GPUs free on local")
    book.say(JobSucceeded(job="a", attempt=1, seconds=1))
    (c,) = book.settle()
    assert c.gpus == (0, 2)


def test_work_without_gpus_stays_off_the_gpu_nodes_while_it_can() -> None:
    book = Book(node("with-gpus", cpu=8, gpu=4), node("without", cpu=8))
    book.queue("plain")
    assert book.settle()[0].node == "without"


def test_memory_counts_where_both_sides_declare_it() -> None:
    gib = 2**30
    book = Book(node("declared", cpu=8, memory=4 * gib))
    book.queue("a", memory=3 * gib)
    book.queue("b", memory=2 * gib)
    book.queue("undeclared")
    assert [p.job for p in book.settle()] == ["a", "undeclared"]
    assert explain(book.state, TEAM, "b") == (
        "needs 1 CPU and 2 GiB of memory; 1 GiB of 4 GiB of memory free on declared"
    )
    book.say(node("open", cpu=1), SYSTEM_NAMESPACE)
    assert [(p.job, p.node) for p in book.settle()] == [("b", "open")]


def test_namespaces_take_turns_by_what_they_hold() -> None:
    book = Book(node(cpu=4))
    for number in range(4):
        book.queue(f"many-{number}", namespace="greedy")
    for number in range(2):
        book.queue(f"few-{number}", namespace="modest")
    assert [p.job for p in book.settle()] == ["many-0", "few-0", "many-1", "few-1"]


def test_a_quota_bounds_its_queue_and_nothing_else() -> None:
    book = Book(node(cpu=8))
    wish = book.say(QueueRequested(queue="research", cpu_quota=2))
    book.said(decide_queue(book.state, wish, (), "default"), wish)
    for number in range(3):
        book.queue(f"r-{number}", queue="research")
    book.queue("d")
    assert sorted(p.job for p in book.settle()) == ["d", "r-0", "r-1"]
    assert explain(book.state, TEAM, "r-2") == (
        "needs 1 CPU; queue research holds 2 of its quota of 2 CPUs"
    )


def test_a_queue_wish_is_answered_once_even_after_a_later_one() -> None:
    book = Book(node(cpu=8))
    first = book.say(QueueRequested(queue="q", cpu_quota=1))
    book.said(decide_queue(book.state, first, (), "default"), first)
    second = book.say(QueueRequested(queue="q", cpu_quota=2))
    book.said(decide_queue(book.state, second, (), "default"), second)
    assert decide_queue(book.state, first, (), "default") == []
    assert decide_queue(book.state, second, (), "default") == []


@pytest.mark.parametrize(
    ("event", "field", "fix"),
    [
        (asked("j", gpu=8), "resources.gpu", "ask for at most 4 GPUs"),
        (asked("j", cpu=99), "resources.cpu", "ask for at most 8 CPUs"),
        (asked("j", memory=2**40), "resources.memory_bytes", f"ask for at most {2**33} bytes"),
        (asked("j", cpu=8, gpu=4), "resources", "ask for at most 2 CPUs, 4 GPUs and 8 GiB of"),
        (asked("j", queue="nope"), "queue", "use the queue 'default', or create this one"),
    ],
)
def test_a_job_that_can_never_run_is_refused_with_field_and_fix(
    event: JobRequested, field: str, fix: str
) -> None:
    memory = 8 * 2**30
    book = Book(node("cpus", cpu=8, memory=memory), node("gpus", cpu=2, gpu=4, memory=memory))
    message = book.say(event)
    (refusal,) = decide_request(book.state, message, ())
    assert isinstance(refusal, JobRejected)
    assert (refusal.field, refusal.request) == (field, message.id)
    assert refusal.fix.startswith(fix)
    book.said([refusal], message)
    assert decide_request(book.state, message, ()) == []
    assert explain(book.state, TEAM, "j") == "it is over: rejected"


def test_a_refused_id_may_be_asked_for_again_and_a_used_one_may_not() -> None:
    book = Book(node(cpu=2))
    refused = book.say(asked("j", cpu=3))
    book.said(decide_request(book.state, refused, ()), refused)
    book.queue("j", cpu=1)
    again = book.say(asked("j", cpu=2))
    (taken,) = decide_request(book.state, again, ())
    assert isinstance(taken, JobRejected)
    assert (taken.request, taken.field, taken.fix) == (again.id, "job", "use a new id")
    book.said([taken], again)
    assert decide_request(book.state, again, ()) == []
    assert book.state.jobs[TEAM, "j"].request != again.id


def test_a_refusal_of_another_request_leaves_the_job_alone() -> None:
    book = Book(node(cpu=2))
    book.queue("j")
    book.settle()
    book.say(JobRejected(job="j", request="another", reason="not valid"))
    assert explain(book.state, TEAM, "j") == "attempt 1 has its place on local"


def test_what_fits_a_declared_node_waits_for_its_registration() -> None:
    book = Book(node(cpu=1))
    message = book.say(asked("j", gpu=1))
    (queued,) = decide_request(book.state, message, (node("soon", gpu=1),))
    assert isinstance(queued, JobQueued)


def test_a_cancelled_job_never_gets_a_place() -> None:
    book = Book(node(cpu=1))
    book.queue("running")
    book.queue("waiting")
    book.settle()
    wish = book.say(JobCancelRequested(job="waiting", reason="no need"))
    assert decide_cancel(book.state, wish) == [
        JobCancelled(job="waiting", attempt=None, reason="no need")
    ]
    book.say(JobSucceeded(job="running", attempt=1, seconds=1))
    assert book.settle() == []
    book.said(decide_cancel(book.state, wish), wish)
    assert decide_cancel(book.state, wish) == []
    assert not book.state.jobs
    assert not book.state.waiting


def test_a_placed_job_is_left_to_the_trainer_until_its_attempt_fails() -> None:
    book = Book(node(cpu=1))
    book.queue("j")
    book.settle()
    wish = book.say(JobCancelRequested(job="j", reason="no need"))
    assert decide_cancel(book.state, wish) == []
    failed = book.say(JobFailed(job="j", attempt=1, reason="killed", final=False))
    assert decide_requeue(book.state, failed) == [
        JobCancelled(job="j", attempt=1, reason="no need")
    ]


def test_a_cancel_older_than_the_request_does_not_end_the_job() -> None:
    book = Book(node())
    wish = book.say(JobCancelRequested(job="j"))
    book.said(decide_cancel(book.state, wish), wish)
    book.queue("j")
    assert decide_cancel(book.state, wish) == []


def test_a_cancel_of_nothing_is_refused_once() -> None:
    book = Book()
    wish = book.say(JobCancelRequested(job="ghost"))
    (refusal,) = decide_cancel(book.state, wish)
    assert isinstance(refusal, JobRejected)
    assert refusal.request == wish.id
    book.said([refusal], wish)
    assert decide_cancel(book.state, wish) == []


def test_a_queue_above_the_cluster_is_refused() -> None:
    book = Book(node(cpu=2, gpu=2))
    wish = book.say(QueueRequested(queue="research", cpu_quota=16, gpu_quota=4))
    (refusal,) = decide_queue(book.state, wish, (), "default")
    assert isinstance(refusal, QueueRejected)
    assert (refusal.field, refusal.reason) == (
        "gpu_quota",
        "the quota of 4 GPUs is above the cluster's 2",
    )
    book.said([refusal], wish)
    assert decide_queue(book.state, wish, (), "default") == []


def test_an_inventory_is_registered_once_and_again_where_its_form_changed() -> None:
    book = Book()
    old, new = node("n", cpu=2), node("n", cpu=4)

    def register(*declared: NodeRegistered) -> list[str]:
        cause = inventory_cause(book.state, declared)
        drafts = decide_inventory(book.state, declared, "default", cause)
        book.said(drafts)
        return [d.event.type for d in drafts]

    assert register(old) == ["node.registered", "plan.committed"]
    assert register(old) == []
    first = inventory_cause(book.state, (new,))
    assert register(new) == ["node.registered", "plan.committed"]
    assert register(old) == ["node.registered", "plan.committed"]
    assert inventory_cause(book.state, (new,)) != first, "the same change again is another event"
    book.say(NodeDrained(node="n", reason="maintenance"), SYSTEM_NAMESPACE)
    assert register(old) == [], "a drained node stays drained"
    book.say(NodeLost(node="n", reason="gone"), SYSTEM_NAMESPACE)
    assert register(old) == ["node.registered", "plan.committed"]


def test_only_the_system_speaks_of_nodes() -> None:
    book = Book()
    book.say(node(), TEAM)
    assert not book.state.nodes


def test_fractions_of_cores_add_up_exactly() -> None:
    book = Book(node(cpu=1.1))
    for number in range(11):
        book.queue(f"tenth-{number}", cpu=0.1)
    assert len(book.settle()) == 11
    book.queue("one-more", cpu=0.1)
    assert book.settle() == []


def test_one_plan_is_bounded_and_the_next_goes_on() -> None:
    book = Book(node(cpu=PLACEMENTS_MAX + 1))
    for number in range(PLACEMENTS_MAX + 1):
        book.queue(f"j-{number}")
    assert len(plan(book.state).placements) == PLACEMENTS_MAX
    assert len(book.settle()) == PLACEMENTS_MAX + 1
    pages = [r.event for r in book.log if isinstance(r.event, PlanCommitted)]
    assert [(p.number, p.placed, p.waiting) for p in pages] == [(1, 200, 1), (2, 1, 0)]


@pytest.mark.parametrize(
    ("nodes", "why"),
    [
        ((), "needs 1 CPU; no node is registered"),
        ((NodeDrained(node="local", reason="x"),), "needs 1 CPU; local is drained"),
        ((NodeLost(node="local", reason="x"),), "needs 1 CPU; local is lost"),
    ],
)
def test_a_job_says_that_no_node_takes_jobs(nodes: tuple[Event, ...], why: str) -> None:
    book = Book(*([node()] if nodes else []))
    book.queue("j")
    for event in nodes:
        book.say(event, SYSTEM_NAMESPACE)
    assert book.settle() == []
    assert explain(book.state, TEAM, "j") == why


def test_the_page_is_the_last_of_its_batch() -> None:
    # A fold that stopped between a page and placements behind it would pass the next page's guard.
    book = Book(node(cpu=2))
    book.queue("a")
    book.queue("b")
    decided = decide_plan(book.state, "default", plan_cause(plan(book.state)))
    assert [d.event.type for d in decided] == ["job.placed", "job.placed", "plan.committed"]


NODES = st.sampled_from(["n-0", "n-1", "n-2"])
TEAMS = st.sampled_from(["vision", "speech"])
PICK = st.integers(0, 10**6)


class Cluster(RuleBasedStateMachine):
    """Random histories. The checks count for themselves, from the log alone."""

    def __init__(self) -> None:
        super().__init__()
        self.book = Book()
        self.pending: list[Recorded] = []
        """Messages that the scheduler has not handled yet; handled in any order."""
        self.checked = 0
        self.offers: dict[str, NodeRegistered] = {}
        self.open: dict[str, bool] = {}
        self.quotas: dict[tuple[str, str], tuple[float | None, int | None]] = {}
        self.shapes: dict[tuple[str, str], JobRequested] = {}
        self.requests: dict[tuple[str, str], str] = {}
        self.places: dict[tuple[str, str], JobPlaced] = {}
        self.attempts: set[tuple[str, str, int]] = set()
        self.jobs = 0
        self.publish(node("n-0", 4, 3, 8), SYSTEM_NAMESPACE)
        self.publish(node("n-1", 2, 1), SYSTEM_NAMESPACE)

    def publish(self, event: Event, namespace: str) -> None:
        self.pending.append(self.book.say(event, namespace))

    @rule(name=NODES, cpu=st.integers(1, 4), gpu=st.integers(0, 3), memory=st.sampled_from([0, 8]))
    def register(self, name: str, cpu: int, gpu: int, memory: int) -> None:
        self.publish(node(name, cpu, gpu, memory), SYSTEM_NAMESPACE)

    @rule(name=NODES, lost=st.booleans())
    def close(self, name: str, lost: bool) -> None:
        event = (NodeLost if lost else NodeDrained)(node=name, reason="x")
        self.publish(event, SYSTEM_NAMESPACE)

    @rule(
        team=TEAMS,
        queue=st.sampled_from(["default", "q"]),
        cpu=st.none() | st.integers(0, 6),
        gpu=st.none() | st.integers(0, 3),
    )
    def want_queue(self, team: str, queue: str, cpu: int | None, gpu: int | None) -> None:
        self.publish(QueueRequested(queue=queue, cpu_quota=cpu, gpu_quota=gpu), team)

    @rule(
        team=TEAMS,
        queue=st.sampled_from(["default", "default", "q"]),
        cpu=st.sampled_from([0.1, 0.5, 1, 2]),
        gpu=st.sampled_from([0, 1, 1, 2]),
        memory=st.sampled_from([0, 3, 8]),
        copies=st.integers(1, 3),
    )
    def want_jobs(
        self, team: str, queue: str, cpu: float, gpu: int, memory: int, copies: int
    ) -> None:
        for _ in range(copies):
            self.publish(asked(f"j-{self.jobs}", cpu, gpu, memory, queue=queue), team)
            self.jobs += 1

    @precondition(lambda self: self.jobs)
    @rule(team=TEAMS, pick=PICK)
    def want_again_or_cancel(self, team: str, pick: int) -> None:
        job = f"j-{pick % self.jobs}"
        event: Event = JobCancelRequested(job=job) if pick % 3 else asked(job, cpu=0.1)
        self.publish(event, team)

    @precondition(lambda self: self.jobs)
    @rule(team=TEAMS, pick=PICK)
    def refuse_something_else(self, team: str, pick: int) -> None:
        self.book.say(JobRejected(job=f"j-{pick % self.jobs}", request="x", reason="x"), team)

    @precondition(lambda self: self.places)
    @rule(pick=PICK, how=st.sampled_from(["succeed", "fail", "fail for good", "cancel", "stale"]))
    def end(self, pick: int, how: str) -> None:
        team, job = key = sorted(self.places)[pick % len(self.places)]
        attempt = self.places[key].attempt
        events: dict[str, Event] = {
            "succeed": JobSucceeded(job=job, attempt=attempt, seconds=1),
            "fail": JobFailed(job=job, attempt=attempt, reason="x", final=False),
            "fail for good": JobFailed(job=job, attempt=attempt, reason="x", final=True),
            "cancel": JobCancelled(job=job, attempt=attempt, reason="x"),
            "stale": JobSucceeded(job=job, attempt=attempt + 1, seconds=1),
        }
        self.publish(events[how], team)

    @precondition(lambda self: self.pending)
    @rule(pick=PICK)
    def handle(self, pick: int) -> None:
        self._handle(self.pending.pop(pick % len(self.pending)))

    @precondition(lambda self: self.book.log)
    @rule(pick=PICK)
    def handle_again(self, pick: int) -> None:
        message = self.book.log[pick % len(self.book.log)]
        if message not in self.pending:
            before = len(self.book.log)
            self._handle(message, settle=False)
            said = [r.event for r in self.book.log[before:]]
            if isinstance(message.event, JobCancelRequested):
                # It may come between the end of an attempt and the handling of that end.
                said = [event for event in said if not isinstance(event, JobCancelled)]
            assert not said, f"{message.event} handled twice said {said}"

    @rule()
    def everything_handled(self) -> None:
        while self.pending:
            self._handle(self.pending.pop(0), settle=False)
        self.book.settle()
        self._count()
        state = self.book.state
        for team, job in state.jobs:
            if state.jobs[team, job].phase.value == "waiting":
                starts = self._could_start(team, job)
                assert not starts, f"{team}/{job} waits beside room for it"
                assert fits_now(state, state.jobs[team, job]) == starts
                assert "free now" not in explain(state, team, job)

    def _handle(self, message: Recorded, settle: bool = True) -> None:
        state, event, decided = self.book.state, message.event, []
        if isinstance(event, JobRequested):
            decided = decide_request(state, message, ())
        elif isinstance(event, JobFailed):
            decided = decide_requeue(state, message)
        elif isinstance(event, JobCancelRequested):
            decided = decide_cancel(state, message)
        elif isinstance(event, QueueRequested):
            decided = decide_queue(state, message, (), "default")
        self.book.said(decided, message, message.namespace)
        if settle:
            self.book.settle()

    @invariant()
    def nothing_is_given_away_twice(self) -> None:
        self._count()

    def _count(self) -> None:
        """Go on counting what is held from the log, and check every placement when it is made."""
        for recorded in self.book.log[self.checked :]:
            event, team = recorded.event, recorded.namespace
            key = (team, event.id)
            if isinstance(event, NodeRegistered):
                self.offers[event.node], self.open[event.node] = event, True
            elif isinstance(event, NodeDrained | NodeLost):
                self.open[event.node] = False
            elif isinstance(event, QueueConfigured):
                self.quotas[key] = (event.cpu_quota, event.gpu_quota)
            elif isinstance(event, JobRequested):
                if key not in self.places:
                    self.shapes.setdefault(key, event)
                    self.requests.setdefault(key, recorded.id)
            elif isinstance(event, JobRejected):
                if self.requests.get(key) == event.request:
                    del self.shapes[key], self.requests[key]
            elif isinstance(event, JobSucceeded | JobFailed | JobCancelled):
                place = self.places.get(key)
                if place is not None and event.attempt == place.attempt:
                    del self.places[key]
            elif isinstance(event, JobPlaced):
                self._check_placement(team, event)
                self.places[key] = event
        self.checked = len(self.book.log)

    def _check_placement(self, team: str, event: JobPlaced) -> None:
        attempt = (team, event.job, event.attempt)
        assert attempt not in self.attempts, f"{attempt} placed twice"
        self.attempts.add(attempt)
        assert (team, event.job) not in self.places, f"{attempt} placed beside another attempt"
        assert self.open[event.node], f"placed on {event.node}, which takes no jobs"
        offer = self.offers[event.node].resources
        there = [p for p in self.places.values() if p.node == event.node] + [event]
        assert len(event.gpus) == event.resources.gpu
        assert all(index < offer.gpu for index in event.gpus)
        gpus = [index for place in there for index in place.gpus]
        assert len(gpus) == len(set(gpus)), f"a GPU of {event.node} was given away twice"
        assert round(sum(p.resources.cpu for p in there), 6) <= offer.cpu
        if offer.memory_bytes and event.resources.memory_bytes:
            assert sum(p.resources.memory_bytes for p in there) <= offer.memory_bytes
        queue = self.shapes[team, event.job].queue
        cpu, gpu = self._held(team, queue)
        quota = self.quotas.get((team, queue), (None, None))
        assert quota[0] is None or round(cpu + event.resources.cpu, 6) <= quota[0]
        assert quota[1] is None or gpu + event.resources.gpu <= quota[1]

    def _held(self, team: str, queue: str) -> tuple[float, int]:
        places = [
            place
            for key, place in self.places.items()
            if key[0] == team and self.shapes[key].queue == queue
        ]
        return sum(p.resources.cpu for p in places), sum(p.resources.gpu for p in places)

    def _could_start(self, team: str, job: str) -> bool:
        want, queue = self.shapes[team, job].resources, self.shapes[team, job].queue
        cpu, gpu = self._held(team, queue)
        quota = self.quotas.get((team, queue), (None, None))
        if quota[0] is not None and round(cpu + want.cpu, 6) > quota[0]:
            return False
        if quota[1] is not None and gpu + want.gpu > quota[1]:
            return False
        return any(self._has_room(name, want) for name in self.offers if self.open[name])

    def _has_room(self, name: str, want: Resources) -> bool:
        offer = self.offers[name].resources
        there = [p for p in self.places.values() if p.node == name]
        taken = {index for place in there for index in place.gpus}
        memory = sum(p.resources.memory_bytes for p in there) + want.memory_bytes
        return (
            round(sum(p.resources.cpu for p in there) + want.cpu, 6) <= offer.cpu
            and len(set(range(offer.gpu)) - taken) >= want.gpu
            and not (offer.memory_bytes and want.memory_bytes and memory > offer.memory_bytes)
        )

    def teardown(self) -> None:
        self.everything_handled()
        replayed = State()
        for recorded in self.book.log:
            replayed = evolve(replayed, recorded)
        assert replayed == self.book.state
        pages = [r.event.number for r in self.book.log if isinstance(r.event, PlanCommitted)]
        assert all(later == earlier + 1 for earlier, later in pairwise(pages))


Cluster.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestCluster = Cluster.TestCase
