"""The timing of one trigger: from events and planned times to what is owed. Pure.

    arrive → gather (debounce, batch) → rate (cooldown, throttle, at most every)
           → concurrency → owed

All of it goes by the times of the log, never by when somebody got round to it: a deadline that
passed while nothing ran counts as of then. So the same log owes the same firings, live, after a
crash, and in a backtest. What the log says was said (`consume`) stands above what is derived.

Bounded: `QUEUED_MAX` firings wait for a run to end; members are listed up to
`CAUSES_LISTED_MAX`; planned times that pass unfired are kept up to `PLANNED_OWED_MAX`.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

from penstock_gateway.domain.firing import Firing, Owed
from penstock_gateway.domain.view import utc_text
from penstock_schemas import TriggerRequested

QUEUED_MAX = 100
"""Firings of one trigger that wait for what the last one asked for to end."""
PLANNED_OWED_MAX = 100
"""Planned times of one trigger that wait to be fired, after a time in which nothing ran."""

SUPPRESSIONS = ("cooldown", "throttle", "running", "full", "loop", "missed")
"""What keeps a trigger from firing though its condition held, in words for a machine."""


class Note(Protocol):
    """Hears what becomes of a firing, in words for a person, and where it is `fired`, `refused`,
    `failed` or one of `SUPPRESSIONS`, in that word."""

    def __call__(self, firing: Firing, text: str, outcome: str = "", /) -> None:
        """Hear it."""


def silent(firing: Firing, text: str, outcome: str = "", /) -> None:
    """A `Note` that nobody reads."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A firing that is gathered or held until a deadline."""

    firing: Firing
    deadline: datetime | None
    """None: until there are enough."""
    first: datetime
    """When its first event came."""


@dataclass
class Timing:
    """The state; `owed` is the outcome, oldest first."""

    gathered: Waiting | None = None
    held: Waiting | None = None
    queued: list[Firing] = field(default_factory=list)
    owed: list[Owed] = field(default_factory=list)
    fired_at: list[datetime] = field(default_factory=list)
    """When it fired last, as many times as the throttle counts, at least one."""
    running: dict[str, datetime] = field(default_factory=dict)
    """What it asked for that has not ended, as `<noun>/<id>`, and since when."""
    silenced: bool = False
    """Whether it was said already that it does not fire because of this run."""
    planned_from: datetime | None = None
    """The last planned time that was considered, or when planning began."""
    planned_lost: int = 0
    """Planned times beyond `PLANNED_OWED_MAX` that are owed no more."""

    def pending(self) -> list[Firing]:
        """Everything that was not said, oldest first in each place."""
        waiting = [one.firing for one in (self.gathered, self.held) if one is not None]
        return [*(owed.firing for owed in self.owed), *self.queued, *waiting]

    def forget(self) -> None:
        """Drop what has not been decided yet."""
        self.gathered = self.held = None
        self.queued.clear()


def arrive(timing: Timing, rules: TriggerRequested, firing: Firing, note: Note = silent) -> None:
    """Take an event for which the condition held (or a planned time), at `firing.due`."""
    at = firing.due
    if firing.by_hand:
        _release(timing, rules, firing, note)
    elif firing.members and rules.debounce is not None:
        _debounce(timing, rules, firing, note)
    elif firing.members and rules.batch is not None:
        before = timing.gathered
        joined = before.firing.joined(firing) if before else firing
        first = before.first if before else at
        if joined.count >= rules.batch.size:
            timing.gathered = None
            note(joined, f"completes a batch of {rules.batch.size}")
            _rate(timing, rules, joined, note)
            return
        wait = rules.batch.wait_seconds_max
        deadline = first + timedelta(seconds=wait) if wait else None
        timing.gathered = Waiting(joined, deadline, first)
        until = f", at the latest until {utc_text(deadline)}" if deadline else ""
        note(firing, f"gathered: {joined.count} of a batch of {rules.batch.size}{until}")
    else:
        _rate(timing, rules, firing, note)


def _debounce(timing: Timing, rules: TriggerRequested, firing: Firing, note: Note) -> None:
    assert rules.debounce is not None
    before, at = timing.gathered, firing.due
    joined = before.firing.joined(firing) if before else firing
    first = before.first if before else at
    deadline = at + timedelta(seconds=rules.debounce.quiet_seconds)
    if rules.debounce.wait_seconds_max is not None:
        deadline = min(deadline, first + timedelta(seconds=rules.debounce.wait_seconds_max))
    timing.gathered = Waiting(joined, deadline, first)
    note(firing, f"gathered: it fires when it has been quiet until {utc_text(deadline)}")


def _rate(timing: Timing, rules: TriggerRequested, firing: Firing, note: Note) -> None:
    at = firing.due
    last = timing.fired_at[-1] if timing.fired_at else None
    if last is not None and rules.cooldown_seconds is not None:
        until = last + timedelta(seconds=rules.cooldown_seconds)
        if at < until:
            note(
                firing,
                f"dropped: it fired at {utc_text(last)} and cools down until {utc_text(until)}",
                "cooldown",
            )
            return
    if rules.throttle is not None:
        since = at - timedelta(seconds=rules.throttle.seconds)
        recent = sum(1 for fired in timing.fired_at if fired > since)
        if recent >= rules.throttle.count:
            note(
                firing,
                f"dropped: it fired {recent} times in the {rules.throttle.seconds:g} s before, "
                f"and may {rules.throttle.count} times",
                "throttle",
            )
            return
    if last is not None and rules.at_most_every_seconds is not None:
        until = last + timedelta(seconds=rules.at_most_every_seconds)
        if at < until:
            held = timing.held
            joined = held.firing.joined(firing) if held else firing
            timing.held = Waiting(joined, until, held.first if held else at)
            note(firing, f"held: it fired at {utc_text(last)} and may again at {utc_text(until)}")
            return
    _release(timing, rules, firing, note)


def busy(timing: Timing) -> bool:
    """Whether something that it asked for, or is about to, has not ended."""
    return bool(timing.running) or any(owed.kind == "fire" for owed in timing.owed)


def _release(timing: Timing, rules: TriggerRequested, firing: Firing, note: Note) -> None:
    policy = rules.concurrency.policy if rules.concurrency is not None else None
    if policy in ("queue", "skip") and busy(timing):
        running = next(iter(timing.running), "what it fired just now")
        if policy == "queue" and len(timing.queued) < QUEUED_MAX:
            timing.queued.append(firing)
            note(firing, f"queued: {running} has not ended")
            return
        kind = "full" if policy == "queue" else "running"
        reason = (
            f"{QUEUED_MAX} firings wait for {running} to end already"
            if policy == "queue"
            else f"{running} has not ended"
        )
        note(firing, f"skipped: {reason}", kind)
        if not timing.silenced:
            timing.silenced = True
            timing.owed.append(Owed(firing, kind, reason, declared=rules))
        return
    _owe(timing, rules, firing, note)


def _owe(timing: Timing, rules: TriggerRequested, firing: Firing, note: Note) -> None:
    timing.owed.append(Owed(firing, declared=rules))
    _mark(timing, rules, firing.due)
    note(firing, "fires")
    planned = [owed for owed in timing.owed if owed.firing.planned and owed.kind == "fire"]
    if len(planned) > PLANNED_OWED_MAX:
        timing.owed.remove(planned[0])
        timing.planned_lost += 1


def _mark(timing: Timing, rules: TriggerRequested, at: datetime) -> None:
    timing.fired_at.append(at)
    timing.fired_at.sort()
    kept = rules.throttle.count if rules.throttle is not None else 1
    del timing.fired_at[:-kept]


def deadline(timing: Timing, rules: TriggerRequested) -> datetime | None:
    """When `advance` has something to do next."""
    times = [one.deadline for one in (timing.gathered, timing.held) if one and one.deadline]
    if timing.running and rules.concurrency is not None:
        times.append(_expiry(timing, rules))
    return min(times, default=None)


def _expiry(timing: Timing, rules: TriggerRequested) -> datetime:
    assert rules.concurrency is not None
    return min(timing.running.values()) + timedelta(seconds=rules.concurrency.lasts_seconds_max)


def advance(timing: Timing, rules: TriggerRequested, now: datetime, note: Note = silent) -> None:
    """Do what is due at or before `now`, each thing at its own time, in order."""
    while (due := deadline(timing, rules)) is not None and due <= now:
        if timing.held is not None and timing.held.deadline == due:
            firing, timing.held = timing.held.firing.at(due), None
            _release(timing, rules, firing, note)
        elif timing.gathered is not None and timing.gathered.deadline == due:
            firing, timing.gathered = timing.gathered.firing.at(due), None
            _rate(timing, rules, firing, note)
        else:
            run = min(timing.running, key=timing.running.__getitem__)
            end(timing, rules, run, due, note)


def end(
    timing: Timing, rules: TriggerRequested, run: str, at: datetime, note: Note = silent
) -> None:
    """Something that it asked for has ended (empty: see what may go on now)."""
    if timing.running.pop(run, None) is not None or not busy(timing):
        timing.silenced = False
    if timing.queued and not busy(timing):
        _owe(timing, rules, timing.queued.pop(0).at(at), note)


def consume(
    timing: Timing,
    rules: TriggerRequested | None,
    said: Firing,
    cause: str,
    fired: bool,
    note: Note = silent,
) -> None:
    """The log says that a firing was made, skipped or refused: it is owed no more.

    `said` may stand for less, or for more, than what is derived here, where another process (or
    this one in an earlier life) saw an event at another moment: then just so much is done, of
    what is owed too. A refusal or a skip that is owed for itself covers no other event. `cause`
    tells firings of the first release, which have no key.
    """
    old = said.through == 0 and said.planned is None
    for owed in timing.owed:
        if owed.firing.key == said.key or (old and _is_for(owed.firing, cause)):
            timing.owed.remove(owed)
            if fired or owed.kind == "fire":
                _cover(timing, said, owed.firing.by_hand)
            break
    else:
        rest = _cover(timing, said, said.by_hand)
        if fired and rules is not None:
            _mark(timing, rules, said.due)
        if rest is not None and timing.owed[-1] is rest and not timing.held and not timing.queued:
            # Decided with more than was said, with nothing later behind it: it may have to wait.
            assert rest.declared is not None
            timing.owed.pop()
            _rate(timing, rest.declared, rest.firing, note)
    if said.planned is not None:
        _pass_planned(timing, said.planned)


def _is_for(firing: Firing, cause: str) -> bool:
    return bool(firing.members) and firing.members[-1].id == cause


def _cover(timing: Timing, said: Firing, by_hand: bool) -> Owed | None:
    """Take what was said out of all that waits or is owed; returns what it leaves of a firing
    that was decided with more, which is still owed, at its place."""
    for name in ("gathered", "held"):
        waiting: Waiting | None = getattr(timing, name)
        if waiting is not None:
            left = _left(waiting.firing, said, by_hand)
            kept = Waiting(left, waiting.deadline, waiting.first) if left else None
            setattr(timing, name, kept)
    timing.queued[:] = [
        left for one in timing.queued if (left := _left(one, said, by_hand)) is not None
    ]
    rest = None
    for place, owed in reversed(tuple(enumerate(timing.owed))):
        if owed.kind != "fire" or not owed.firing.members:
            continue
        left = _left(owed.firing, said, by_hand)
        if left is owed.firing:
            continue
        if owed.firing.due in timing.fired_at:  # it did not fire then
            timing.fired_at.remove(owed.firing.due)
        if left is None:
            del timing.owed[place]
        else:
            rest = timing.owed[place] = replace(owed, firing=left)
    return rest


def _left(waiting: Firing, said: Firing, by_hand: bool) -> Firing | None:
    """What a firing said to be made leaves of one that waits."""
    if waiting.key == said.key:
        return None
    if waiting.members:
        if waiting.by_hand != by_hand or waiting.members[0].sequence > said.through:
            return waiting  # what is asked for by hand overtakes what is gathered
        return waiting.without(said.through)
    done = said.planned is not None and waiting.planned is not None
    return None if done and waiting.planned <= said.planned else waiting  # type: ignore[operator]


def _pass_planned(timing: Timing, planned: datetime) -> None:
    timing.planned_lost = 0
    if timing.planned_from is None or planned > timing.planned_from:
        timing.planned_from = planned
    timing.owed[:] = [
        owed
        for owed in timing.owed
        if owed.firing.members or owed.firing.planned is None or owed.firing.planned > planned
    ]
