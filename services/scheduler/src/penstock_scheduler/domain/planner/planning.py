"""The planner: what starts now and where, who must leave for it, and what is held.

Deterministic, and without I/O: the same function serves the live service, the simulator and every
question about what would happen. Each pass asks whose turn it is, again and again, until nothing
more fits; in a *round* it also looks for jobs that should give way. What it decides is tried on
the world as it goes, and all of it is taken back at the end.
"""

from dataclasses import dataclass, field

from penstock_scheduler.domain.planner.jobs import Job, Phase
from penstock_scheduler.domain.planner.places import fit
from penstock_scheduler.domain.planner.room import room_for
from penstock_scheduler.domain.planner.shapes import Place
from penstock_scheduler.domain.planner.trial import Trial
from penstock_scheduler.domain.planner.world import World


@dataclass(frozen=True, slots=True)
class Start:
    """A job and its places, with their devices."""

    job: Job
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Preemption:
    """A job that must leave, and for whom; `to` is where it goes on, if it is moved."""

    job: Job
    beneficiary: Job
    to: tuple[Place, ...] = ()


@dataclass(frozen=True, slots=True)
class Hold:
    """Places that are held until the job can start there."""

    job: Job
    places: tuple[Place, ...]


@dataclass(slots=True)
class Plan:
    """What is to happen now."""

    starts: list[Start] = field(default_factory=list)
    preemptions: list[Preemption] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.starts) + len(self.preemptions) + len(self.holds)


def plan(world: World, now: float, *, in_round: bool = False) -> Plan:
    """The plan for the world at a time; in a round jobs may be told to leave."""
    world.ripen(now)
    made = Plan()
    with Trial(world, now) as trial:
        _start_held(trial, made)
        turns = world.turns.one_pass()
        for job in turns:
            if len(made) >= world.policy.changes_max:
                break
            ask = job.ask
            if job.held:  # it starts there once that is free; those behind it are looked at
                trial.park(job)
                continue
            places = fit(world.capacity, ask.shape, ask.replicas, ask.depth, ask.required)
            if places is not None:
                made.starts.append(Start(job, trial.start(job, places)))
            elif not (in_round and _make_room(trial, made, job)):
                turns.close(ask)
    world.turns.give_back(turns.touched)
    return made


def _start_held(trial: Trial, made: Plan) -> None:
    """Start the jobs whose held places are free by now, and whose queue may still hold them."""
    world = trial.world
    for job in sorted(world.holders.values(), key=lambda one: one.asked):
        ready = job.phase is Phase.WAITING and world.capacity.is_free(job.ask.shape, job.held)
        if ready and world.turns.tier_of(job) is not None:
            made.starts.append(Start(job, trial.start(job, job.held)))


def _make_room(trial: Trial, made: Plan, job: Job) -> bool:
    """Let others give way to the job, if the policy finds any."""
    found = room_for(trial, job)
    if found is None:
        return False
    for victim in found.victims:
        trial.leave(victim)
        made.preemptions.append(Preemption(victim, job))
    for move in found.moves:
        trial.leave(move.job)
        trial.hold(move.job, move.to)
        made.preemptions.append(Preemption(move.job, job, move.to))
        made.holds.append(Hold(move.job, move.to))
    trial.hold(job, found.places)
    trial.park(job)
    made.holds.append(Hold(job, found.places))
    return True
