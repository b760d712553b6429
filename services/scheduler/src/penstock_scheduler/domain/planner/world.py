"""The cluster, its queues and its jobs, with everything that a plan must find at once.

Whoever folds the log, or simulates one, tells the world what happened; each change costs about
the same whatever the number of nodes, queues and jobs. Changes that a plan only tries are taken
back exactly (`trial`), so a plan leaves the world as it was.
"""

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush

from penstock_scheduler.domain.planner.capacity import Capacity
from penstock_scheduler.domain.planner.jobs import Job, Phase
from penstock_scheduler.domain.planner.lines import Lines
from penstock_scheduler.domain.planner.policy import Policy
from penstock_scheduler.domain.planner.quotas import Key, QueueSpec, Quotas
from penstock_scheduler.domain.planner.shapes import Offer, Place
from penstock_scheduler.domain.planner.turns import Turns

AGED_RANK = -1e12
"""Added to when a job was submitted, the rank of one that waited too long."""

RISE_SECONDS_MIN = 1.0
"""A running job's level is looked at this often at most, whatever rounding does."""

Running = tuple[float, int, Key]
"""When its run began, sequence of the request, job."""


@dataclass
class World:
    """See the module."""

    policy: Policy = field(default_factory=Policy)
    capacity: Capacity = field(default_factory=Capacity)
    quotas: Quotas = field(default_factory=Quotas)
    lines: Lines = field(default_factory=Lines)
    jobs: dict[Key, Job] = field(default_factory=dict)
    """The live ones."""
    running: list[list[Running]] = field(default_factory=list)
    """By level: jobs that may be preempted and were not told to leave."""
    holders: dict[Key, Job] = field(default_factory=dict)
    """Jobs that places are held for."""
    turns: Turns = field(init=False)
    _ranks: dict[Key, float] = field(default_factory=dict)
    _ages: list[tuple[float, int, Key, float]] = field(default_factory=list)
    """A heap: when a waiting job has waited too long; its wait's beginning tells whether it
    counts."""
    _rises: list[tuple[float, int, Key]] = field(default_factory=list)
    """A heap: when a running job reaches its next level; `Job.rises_at` tells whether it counts."""

    def __post_init__(self) -> None:
        self.turns = Turns(self.policy, self.capacity, self.quotas, self.lines, self.jobs)

    # What there is.

    def add_node(self, offer: Offer) -> None:
        """A node is known, or known in another form; what is taken of it stays taken."""
        self.capacity.add(offer)
        self.turns.rebuild()

    def set_ready(self, node: str, ready: bool) -> None:
        """A node takes jobs, or takes none: what runs there goes on, and what was held there for
        jobs that are to start is held no longer."""
        found = self.capacity.by_name[node]
        if not ready:
            for job in [job for job in self.holders.values() if job.key in found.holders]:
                self.unhold(job)
        self.capacity.set_ready(found, ready)
        self.turns.rebuild()

    def configure(self, queue: QueueSpec) -> None:
        """A queue is made or changed. Its parent must be neither itself nor below it."""
        self.quotas.configure(queue)
        self.turns.rebuild()

    # A job's way.

    def add(self, job: Job) -> None:
        """A job is asked for."""
        self.jobs[job.key] = job

    def enqueue(self, job: Job, now: float) -> None:
        """It waits."""
        job.phase, job.since = Phase.WAITING, now
        self.join(job, self._rank(job))
        if self.policy.aged_seconds is not None and not self._is_aged(job):
            due = now + self.policy.aged_seconds - job.waited
            heappush(self._ages, (due, job.asked, job.key, now))
        if self.lines.by_ask[job.ask][job.queue].head()[2] == job.key:
            self.turns.offer(job.ask, job.queue)

    def withdraw(self, job: Job) -> None:
        """It waits no longer, and has no place."""
        self._quit(job)
        job.phase = Phase.BETWEEN

    def start(self, job: Job, places: Sequence[Place], now: float) -> None:
        """It leaves its line for its places; what was held for it is its own now."""
        if job.held:
            self.unhold(job)
        self._quit(job)
        self._occupy(job, places, now)

    def _occupy(self, job: Job, places: Sequence[Place], now: float) -> None:
        job.waited += now - job.since
        job.places = self.capacity.take(job.key, job.ask.shape, places)
        self.quotas.hold(job.queue, job.ask.amount, +1)
        job.phase, job.since = Phase.RUNNING, now
        self._watch(job, now)

    def leave(self, job: Job, now: float) -> None:
        """It is told to give its place up; it has it still."""
        self.unwatch(job)
        job.service, job.since, job.phase = job.served(now), now, Phase.LEAVING
        self.capacity.leave(job.key, job.places)

    def vacate(self, job: Job, now: float) -> None:
        """Its attempt is over: it gave its places back and is in no line."""
        if job.phase is Phase.RUNNING:
            self.unwatch(job)
        job.service, job.since, job.phase = job.served(now), now, Phase.BETWEEN
        self.capacity.give(job.key, job.places)
        self.quotas.hold(job.queue, job.ask.amount, -1)
        job.places = ()
        for queue in self.quotas.path(job.queue):
            top = queue.spec.key
        self.turns.offer_all(top)

    def remove(self, job: Job, now: float) -> None:
        """It is over."""
        if job.phase is Phase.WAITING:
            self._quit(job)
        elif job.places:
            self.vacate(job, now)
        if job.held:
            self.unhold(job)
        del self.jobs[job.key]

    def hold(self, job: Job, places: Sequence[Place]) -> None:
        """Hold places until the job can start there."""
        if job.held:
            self.unhold(job)
        job.held = tuple(places)
        self.capacity.hold(job.key, job.ask.shape, job.held)
        self.holders[job.key] = job

    def unhold(self, job: Job) -> None:
        """Hold nothing for it any longer."""
        self.capacity.unhold(job.key, job.held)
        job.held = ()
        del self.holders[job.key]

    def _rank(self, job: Job) -> float:
        if self._is_aged(job):
            return AGED_RANK + job.submitted
        return self.policy.standing(job.service)

    def _is_aged(self, job: Job) -> bool:
        return self.policy.aged_seconds is not None and job.waited >= self.policy.aged_seconds

    # Time.

    def ripen(self, now: float) -> None:
        """Bring the levels of running jobs up to `now`."""
        while self._rises and self._rises[0][0] <= now:
            due, _, key = heappop(self._rises)
            job = self.jobs.get(key)
            if job is not None and job.phase is Phase.RUNNING and job.rises_at == due:
                self.unwatch(job)
                self._watch(job, now)
        while self._ages and self._ages[0][0] <= now:
            _, _, key, since = heappop(self._ages)
            job = self.jobs.get(key)
            if job is not None and job.phase is Phase.WAITING and job.since == since:
                self._quit(job)
                job.waited, job.since = job.waited + now - since, now
                self.enqueue(job, now)

    def _watch(self, job: Job, now: float) -> None:
        job.level = int(self.policy.standing(job.served(now)))
        self.file(job)
        if self.policy.attained:
            missing = self.policy.reaches(job.level + 1) - job.service
            job.rises_at = max(job.since + missing / job.ask.gpus, now + RISE_SECONDS_MIN)
            heappush(self._rises, (job.rises_at, job.asked, job.key))

    def file(self, job: Job) -> None:
        """Put a running job where victims are looked for."""
        if job.ask.preemptible and not self._is_aged(job):
            while len(self.running) <= job.level:
                self.running.append([])
            insort(self.running[job.level], (job.since, job.asked, job.key))

    def unwatch(self, job: Job) -> None:
        """A running job is no victim any longer."""
        if job.ask.preemptible and not self._is_aged(job):
            line = self.running[job.level]
            del line[bisect_left(line, (job.since, job.asked, job.key))]

    # Lines.

    def rank_of(self, job: Job) -> float:
        """The rank of a waiting job."""
        return self._ranks[job.key]

    def join(self, job: Job, rank: float) -> None:
        """Stand in line with this rank."""
        self._ranks[job.key] = rank
        self.lines.put(job, rank)

    def _quit(self, job: Job) -> None:
        self.lines.take(job, self._ranks.pop(job.key))
