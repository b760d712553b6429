"""A cluster in fast motion: recorded or invented jobs under a policy, and what became of them.

The planner is the one that serves; only nodes and time are invented. A job needs its seconds of
running in all; a preempted or moved one keeps what it has done and pays `restart_seconds` for each
new start. Between events nothing happens, so days of an idle cluster cost nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush

from penstock_scheduler.domain.planner import (
    Ask,
    Job,
    Offer,
    Phase,
    Plan,
    Policy,
    QueueSpec,
    World,
    plan,
)
from penstock_scheduler.domain.planner.quotas import Key

NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class TraceJob:
    """A job of a trace, times in seconds; undisturbed it runs for `seconds`."""

    submitted: float
    seconds: float
    ask: Ask
    queue: Key = ("trace", "default")


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a job."""

    job: TraceJob
    ended: float
    preemptions: int
    """How often it was preempted or moved."""

    @property
    def waited(self) -> float:
        """Seconds that it took longer than undisturbed: its waits, and the restarts."""
        return self.ended - self.job.submitted - self.job.seconds


@dataclass(slots=True)
class Outcome:
    """What became of a trace. `impossible` jobs fit on no such cluster and were left out."""

    ended: list[Ended] = field(default_factory=list)
    impossible: list[TraceJob] = field(default_factory=list)
    preempted: int = 0
    moved: int = 0
    plans: int = 0
    lost_gpu_seconds: float = 0.0
    """By restarts."""


class _Run:
    def __init__(
        self,
        jobs: Iterable[TraceJob],
        offers: Sequence[Offer],
        queues: Iterable[QueueSpec],
        policy: Policy,
        restart_seconds: float,
    ) -> None:
        self.world = World(policy)
        for offer in offers:
            self.world.add_node(offer)
        for queue in queues:
            self.world.configure(queue)
        self.trace = sorted(jobs, key=lambda job: job.submitted)
        self.restart_seconds = restart_seconds
        self.outcome = Outcome()
        self.left: dict[Key, float] = {}
        """Seconds that each live job has still to run."""
        self.times: dict[Key, int] = {}
        """How often each live job was preempted or moved."""
        self.ends: list[tuple[float, Key, float]] = []
        """A heap: end of a run, its job, its beginning."""
        self.rounds = policy.preempts or policy.moves
        self.round_at = NEVER
        self.last_round = -NEVER

    def go(self) -> Outcome:
        """To the end of the last job."""
        arrivals = iter(enumerate(self.trace))
        coming = next(arrivals, None)
        while True:
            arrival = coming[1].submitted if coming is not None else NEVER
            now = min(arrival, self._next_end(), self.round_at)
            if now == NEVER:
                return self.outcome
            if self.ends and self.ends[0][0] == now:
                self._end(now)
            elif coming is not None and arrival == now:
                self._arrive(*coming)
                coming = next(arrivals, None)
            else:
                self.round_at = NEVER
            self._plan(now)

    def _next_end(self) -> float:
        while self.ends:
            at, key, since = self.ends[0]
            job = self.world.jobs.get(key)
            if job is not None and job.phase is Phase.RUNNING and job.since == since:
                return at
            heappop(self.ends)  # it was stopped
        return NEVER

    def _end(self, now: float) -> None:
        _, key, _ = heappop(self.ends)
        self.world.remove(self.world.jobs[key], now)
        del self.left[key]
        record = Ended(self.trace[int(key[1])], now, self.times.pop(key, 0))
        self.outcome.ended.append(record)

    def _arrive(self, number: int, traced: TraceJob) -> None:
        if not _possible(traced.ask, self.world):
            self.outcome.impossible.append(traced)
            return
        key = traced.queue[0], str(number)
        restart = self.restart_seconds
        job = Job(key, traced.queue, traced.ask, number + 1, traced.submitted, restart)
        self.left[key] = traced.seconds
        self.world.add(job)
        self.world.enqueue(job, traced.submitted)

    def _plan(self, now: float) -> None:
        policy = self.world.policy
        in_round = self.rounds and now >= self.last_round + policy.round_seconds
        if in_round:
            self.last_round = now
        while self.world.lines.count:
            made = plan(self.world, now, in_round=in_round)
            self.outcome.plans += 1
            self._do(made, now)
            in_round = False
            if not made.preemptions and len(made) < policy.changes_max:
                break
        waits = self.rounds and self.world.lines.count
        self.round_at = self.last_round + policy.round_seconds if waits else NEVER

    def _do(self, made: Plan, now: float) -> None:
        for start in made.starts:
            job = start.job
            self.world.start(job, start.places, now)
            heappush(self.ends, (now + self.left[job.key], job.key, now))
        for hold in made.holds:
            self.world.hold(hold.job, hold.places)
        for preemption in made.preemptions:
            self._stop(preemption.job, now)
            if preemption.to:
                self.outcome.moved += 1
            else:
                self.outcome.preempted += 1

    def _stop(self, job: Job, now: float) -> None:
        self.left[job.key] += job.since - now + self.restart_seconds
        self.times[job.key] = self.times.get(job.key, 0) + 1
        self.outcome.lost_gpu_seconds += self.restart_seconds * job.ask.gpus
        self.world.vacate(job, now)
        self.world.enqueue(job, now)


def simulate(
    jobs: Iterable[TraceJob],
    offers: Sequence[Offer],
    *,
    policy: Policy | None = None,
    queues: Iterable[QueueSpec] = (),
    restart_seconds: float = 60.0,
) -> Outcome:
    """Run the jobs on the nodes, from the first submission to the last end."""
    return _Run(jobs, offers, queues, policy or Policy(), restart_seconds).go()


def _possible(ask: Ask, world: World) -> bool:
    """Whether the idle cluster has room for the job."""
    replicas = 0
    for node in world.capacity.nodes:
        offer, shape = node.offer, ask.shape
        devices = [p.count for p in offer.pools if not shape.kinds or p.kind in shape.kinds]
        count = ask.replicas
        if shape.cpu_milli:
            count = min(count, offer.cpu_milli // shape.cpu_milli)
        if shape.gpu:
            count = min(count, max((have // shape.gpu for have in devices), default=0))
        elif shape.gpu_milli:
            count = min(count, sum(devices))
        replicas += count
    return replicas >= ask.replicas
