"""The planner: which jobs start now and where, who gives way, and by what right.

A value (`World`) holds nodes, queues and jobs with all that a plan must find at once; `plan` looks
at it and says what should happen; whoever owns the world makes it happen, event by event. From the
bottom: `shapes` and `capacity` (what is free where), `places` (where a job fits), `quotas` (what a
queue may hold), `jobs`, `lines` and `turns` (who is next), `victims` and `room` (who gives way),
`world`, `trial` (trying without doing), `planning`. `policy` holds the numbers.
"""

from penstock_scheduler.domain.planner.jobs import Ask, Job, Phase
from penstock_scheduler.domain.planner.planning import Hold, Plan, Preemption, Start, plan
from penstock_scheduler.domain.planner.policy import Policy
from penstock_scheduler.domain.planner.quotas import Limit, QueueSpec
from penstock_scheduler.domain.planner.shapes import Offer, Place, Pool, Shape
from penstock_scheduler.domain.planner.world import World

__all__ = [
    "Ask",
    "Hold",
    "Job",
    "Limit",
    "Offer",
    "Phase",
    "Place",
    "Plan",
    "Policy",
    "Pool",
    "Preemption",
    "QueueSpec",
    "Shape",
    "Start",
    "World",
    "plan",
]
