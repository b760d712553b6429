"""How fast the planner decides: 10,000 GPUs, 100,000 waiting jobs, 60 queues; then 10,000 queues.

Each step is what an event costs in the service: a job ends, another is asked for, and a plan is
made and done. No log and no bus: those are measured by `bus`.
"""

import random
import time

from benchmarks.report import finish

from penstock_scheduler.domain.planner import Ask, Job, Offer, Policy, Pool, Shape, World, plan

GPUS = 10_000
GPUS_A_NODE = 8
SIZES = (1, 1, 1, 2, 4, 8)
WAITING = 100_000
QUEUES = (60, 10_000)
STEPS = 20_000
TARGETS = {
    "events a second, 60 queues": ">=10000",
    "p99 of a step, ms, 60 queues": "<=2",
}


class Load:
    """A full cluster and its lines."""

    def __init__(self, queues: int) -> None:
        self.world = World(Policy())
        self.chance = random.Random(1)
        self.queues = queues
        self.asked = 0
        self.running: list[Job] = []
        self.asks = [Ask(Shape(1000 * gpus, gpu=gpus), preemptible=True) for gpus in SIZES]
        for number in range(GPUS // GPUS_A_NODE):
            self.world.add_node(Offer(f"n{number}", 64_000, 0, (Pool("gpu", GPUS_A_NODE),)))
        for _ in range(WAITING):
            self.ask(0.0)
        while self.decide(0.0):
            pass

    def ask(self, now: float) -> None:
        """One more job waits."""
        self.asked += 1
        queue = ("bench", f"q{self.chance.randrange(self.queues)}")
        ask = self.chance.choice(self.asks)
        job = Job(("bench", str(self.asked)), queue, ask, self.asked, now)
        self.world.add(job)
        self.world.enqueue(job, now)

    def decide(self, now: float) -> int:
        """Plan, and do it; how many started."""
        starts = plan(self.world, now).starts
        for start in starts:
            self.world.start(start.job, start.places, now)
            self.running.append(start.job)
        return len(starts)

    def step(self, now: float) -> None:
        """A job ends, another is asked for."""
        at = self.chance.randrange(len(self.running))
        self.running[at], self.running[-1] = self.running[-1], self.running[at]
        self.world.remove(self.running.pop(), now)
        self.ask(now)
        self.decide(now)


def main() -> None:
    """Measure each number of queues."""
    figures: dict[str, float] = {}
    ratios: dict[str, float] = {}
    for queues in QUEUES:
        load = Load(queues)
        took = []
        for number in range(STEPS):
            before = time.perf_counter()
            load.step(float(number))
            took.append(time.perf_counter() - before)
        before = time.perf_counter()
        plan(load.world, float(STEPS), in_round=True)
        figures[f"a round that looks for victims, ms, {queues} queues"] = 1000 * (
            time.perf_counter() - before
        )
        ordered = sorted(took)
        ratios[f"events a second, {queues} queues"] = 2 * STEPS / sum(took)
        figures[f"p50 of a step, ms, {queues} queues"] = 1000 * ordered[STEPS // 2]
        ratios[f"p99 of a step, ms, {queues} queues"] = 1000 * ordered[STEPS * 99 // 100]
    finish("scheduler speed", figures, ratios, TARGETS)


if __name__ == "__main__":
    main()
