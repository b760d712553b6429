"""Whose turn it is: among the heads of all lines, the next job that may start.

Order: what is owed to a queue, then the probe lane, then what is borrowed; among borrowers the
queue that holds the least in relation to its weight; then the rank.

For each class of jobs a heap of queues is kept from plan to plan. An entry may be out of date in
one direction only: a turn that got worse (the queue holds more, its head left) is found out when
it reaches the top and put back at its place; one that got better is entered anew by whoever made
it better (`offer`). So a plan costs what it looks at, not what waits.
"""

from collections.abc import Iterator
from heapq import heappop, heappush

from penstock_scheduler.domain.planner.capacity import Capacity
from penstock_scheduler.domain.planner.jobs import Ask, Job
from penstock_scheduler.domain.planner.lines import Lines
from penstock_scheduler.domain.planner.policy import Policy
from penstock_scheduler.domain.planner.quotas import Key, Quotas, Tier

Turn = tuple[int, float, float, int]
"""Tier, share of the queue where it borrows, rank, sequence of the request: the smaller goes
first."""


class Turns:
    """See the module."""

    def __init__(
        self, policy: Policy, capacity: Capacity, quotas: Quotas, lines: Lines, jobs: dict[Key, Job]
    ) -> None:
        self._policy = policy
        self._capacity = capacity
        self._quotas = quotas
        self._lines = lines
        self._jobs = jobs
        self._heaps: dict[Ask, list[tuple[Turn, Key]]] = {}
        self._entered: dict[Ask, dict[Key, Turn]] = {}
        """The turn under which each line is in its heap; other entries of it are garbage."""

    def offer(self, ask: Ask, queue: Key) -> None:
        """The turn of a line came to be, or got better."""
        turn = self.turn_of(ask, queue)
        if turn is None:
            return
        entered = self._entered.setdefault(ask, {})
        old = entered.get(queue)
        if old is None or turn < old:
            entered[queue] = turn
            heappush(self._heaps.setdefault(ask, []), (turn, queue))

    def offer_all(self, queue: Key) -> None:
        """A queue holds less, or may hold more: likewise for its lines and its children's."""
        for ask in self._lines.by_queue.get(queue, ()):
            self.offer(ask, queue)
        for child in self._quotas.children.get(queue, ()):
            self.offer_all(child)

    def rebuild(self) -> None:
        """The cluster is another: every share is."""
        self._heaps.clear()
        self._entered.clear()
        for ask, lines in self._lines.by_ask.items():
            for queue in lines:
                self.offer(ask, queue)

    def turn_of(self, ask: Ask, queue: Key) -> Turn | None:
        """The turn of a line's head; None where there is none, or its queue may hold no more."""
        lines = self._lines.by_ask.get(ask)
        line = lines.get(queue) if lines is not None else None
        if line is None:
            return None
        rank, asked, key = line.head()
        tier = self.tier_of(self._jobs[key])
        if tier is None:
            return None
        fair = tier == Tier.BORROWED and self._policy.fair
        return tier, self.share_of(queue) if fair else 0.0, rank, asked

    def head_of(self, ask: Ask, queue: Key) -> Job:
        """The first job of a line."""
        return self._jobs[self._lines.by_ask[ask][queue].head()[2]]

    def tier_of(self, job: Job) -> Tier | None:
        """By what right a job would start now; None: by none."""
        tier = self._quotas.tier(job.queue, job.ask.amount)
        if tier is Tier.OWED or not self._policy.probe_gpu_seconds:
            return tier
        probes = job.ask.preemptible and job.service < self._policy.probe_gpu_seconds
        return Tier.PROBE if probes else tier

    def share_of(self, queue: Key) -> float:
        """The part of the cluster that a queue holds, of CPU or GPUs whichever is more, by its
        weight (dominant resource fairness, Ghodsi et al., NSDI 2011)."""
        found, capacity = self._quotas.of(queue), self._capacity
        cpu = found.cpu / capacity.total_cpu if capacity.total_cpu else 0.0
        gpu = found.gpu / (1000 * capacity.total_gpu) if capacity.total_gpu else 0.0
        return max(cpu, gpu) / found.spec.weight

    def best(self, ask: Ask, touched: set[tuple[Ask, Key]]) -> tuple[Turn, Key] | None:
        """The best turn of a class. A line whose turn is worse by now, or is none, is put back at
        its place, and noted in `touched`: in a trial that may not last."""
        heap, entered = self._heaps.get(ask), self._entered.get(ask, {})
        while heap:
            turn, queue = heap[0]
            if entered.get(queue) != turn:
                heappop(heap)
                continue
            now = self.turn_of(ask, queue)
            if now == turn:
                return heap[0]
            heappop(heap)
            touched.add((ask, queue))
            if now is None:
                del entered[queue]
            else:
                entered[queue] = now
                heappush(heap, (now, queue))
        if heap is not None:
            del self._heaps[ask], self._entered[ask]
        return None

    def one_pass(self) -> "Pass":
        """The turns of one plan, from the beginning."""
        return Pass(self, list(self._lines.by_ask))

    def give_back(self, touched: set[tuple[Ask, Key]]) -> None:
        """Enter again what a trial made worse, now that it is over."""
        for ask, queue in touched:
            self.offer(ask, queue)


class Pass:
    """Turns as they come; the caller starts the job, or closes its class."""

    def __init__(self, turns: Turns, asks: list[Ask]) -> None:
        self._turns = turns
        self.touched: set[tuple[Ask, Key]] = set()
        self._heap: list[tuple[Turn, int, Ask, Key]] = []
        self._closed: set[Ask] = set()
        for number, ask in enumerate(asks):
            self._enter(number, ask)

    def _enter(self, number: int, ask: Ask) -> None:
        best = self._turns.best(ask, self.touched)
        if best is not None:
            heappush(self._heap, (best[0], number, ask, best[1]))

    def __iter__(self) -> Iterator[Job]:
        while self._heap:
            turn, number, ask, queue = heappop(self._heap)
            if ask in self._closed:
                continue
            if self._turns.turn_of(ask, queue) == turn:
                yield self._turns.head_of(ask, queue)
            if ask not in self._closed:
                self._enter(number, ask)

    def close(self, ask: Ask) -> None:
        """Nothing that asks for the same fits in this pass."""
        self._closed.add(ask)
