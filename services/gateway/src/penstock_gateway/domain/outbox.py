"""The outbox of one subscription: what waits, when it is tried next, and when to give up.

A value that is kept between processes; its owner tells it what happened and when. Rules:

    a failed event      is tried again after 5, 10, 20, 40 s, 2 min, 10 min, … (`RETRIES_SECONDS`)
    a failing receiver  (several failures, no success between) is asked with one event at a time,
                        at growing pauses of at most 5 min; its first success makes all due at once
    ordered             of the events about one thing only the oldest is tried
    giving up           an event that failed for `give_up_seconds` while others went through;
                        a receiver that failed as long without one success, or says 410 Gone

Every pause is lengthened by up to a fifth, by chance, so that many outboxes do not knock as one.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

RETRIES_SECONDS = (
    *(5.0, 10.0, 20.0, 40.0, 120.0, 600.0, 1800.0, 7200.0),
    *(18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0),
)
"""Pauses after the first, second, … failure of an event, seconds; then the last for ever."""
FAILURES_OPEN = 5
"""Failures in a row that make a receiver a failing one."""
PROBES_SECONDS = (2.0, 4.0, 8.0, 15.0, 15.0, 30.0, 30.0, 60.0, 60.0, 120.0, 300.0)
"""Pauses between tries of a failing receiver, seconds."""
JITTER = 0.2
RETRY_AFTER_SECONDS_MAX = 3600.0
"""How long a receiver may ask us to stay away."""
GIVE_UP_SECONDS = 72 * 3600.0
GIVE_UP_ATTEMPTS_MIN = 5
DISABLE_FAILURES_MIN = 10
"""Fewer failures prove nothing, however long ago the first was: perhaps we were down."""
ENTRIES_MAX = 1000
"""Events that may wait after a failure; further ones stay in the log until there is room."""
UNTRIED_MAX = 64
"""Events taken in ahead of their first try."""
REPLAYS_MAX = 64
"""Stretches that wait to be sent again; of more the oldest are given up."""

Verdict = Literal["again", "give-up", "disable"]


@dataclass(slots=True)
class Entry:
    """An event that waits."""

    sequence: int
    key: str
    """The thing that it is about; what is ordered is ordered by it."""
    attempts: int = 0
    first_at: float = 0.0
    """When it was tried first, seconds since 1970."""
    due_at: float = 0.0
    in_flight: bool = False
    probe: bool = False
    """In flight alone, to see whether a failing receiver is back."""
    again: bool = False
    """Asked for once more while it was in flight."""


@dataclass(slots=True)
class Replay:
    """A stretch of the log that is sent again, from above `after` up to `until`."""

    number: int
    """The sequence of the event that asked for it."""
    after: int
    until: int
    since: float | None = None
    """Nothing stored before it, seconds since 1970."""


@dataclass(slots=True)
class Outbox:
    """See the module."""

    epoch: int
    """The sequence of the event that began it; what is older is none of its business."""
    position: int
    """Everything up to it was taken in."""
    entries: dict[int, Entry] = field(default_factory=dict)
    """By sequence."""
    failures: int = 0
    """In a row."""
    probes: int = 0
    """How many of them were probes."""
    failing_since: float | None = None
    quiet_until: float = 0.0
    """The receiver is left alone until then."""
    replays: list[Replay] = field(default_factory=list)
    replayed: int = 0
    """The number of the last replay that was taken in."""

    @property
    def failing(self) -> bool:
        """Whether the receiver, not an event, seems to be the trouble."""
        return self.failures >= FAILURES_OPEN

    @property
    def room(self) -> int:
        """How many more events may be taken in now."""
        untried = sum(not entry.attempts for entry in self.entries.values())
        return max(0, min(UNTRIED_MAX - untried, ENTRIES_MAX - len(self.entries)))

    @property
    def done_up_to(self) -> int:
        """Everything up to this sequence was dealt with."""
        oldest = min(self.entries, default=self.position + 1)
        return max(self.epoch, min(oldest - 1, self.position))

    def take(self, sequence: int, key: str) -> None:
        """A matching event was read at the position."""
        self.entries.setdefault(sequence, Entry(sequence, key))
        self.position = max(self.position, sequence)

    def pass_over(self, sequence: int) -> None:
        """What was read at the position is not for this subscription."""
        self.position = max(self.position, sequence)

    def take_again(self, replay: Replay, sequence: int, key: str) -> None:
        """A matching event was read in a replay."""
        entry = self.entries.get(sequence)
        if entry is None:
            self.entries[sequence] = Entry(sequence, key)
        elif entry.in_flight:
            entry.again = True
        else:
            entry.due_at = 0.0
        replay.after = max(replay.after, sequence)

    def ask_replay(self, replay: Replay) -> None:
        """Take in a replay, once; the oldest gives way where there are too many."""
        if replay.number > self.replayed:
            self.replays = [*self.replays, replay][-REPLAYS_MAX:]
            self.replayed = replay.number

    def eligible(self, ordered: bool) -> Iterator[Entry]:
        """What may be tried as soon as it is due, in the order of the log."""
        held: set[str] = set()
        for sequence in sorted(self.entries):
            entry = self.entries[sequence]
            if ordered and entry.key in held:
                continue
            held.add(entry.key)
            if not entry.in_flight:
                yield entry

    def start(self, now: float, ordered: bool, concurrency: int) -> list[Entry]:
        """What is to be tried now; it is in flight from here on."""
        flying = sum(entry.in_flight for entry in self.entries.values())
        free = (1 if self.failing else concurrency) - flying
        if free <= 0 or now < self.quiet_until:
            return []
        ready = [entry for entry in self.eligible(ordered) if self._due(entry) <= now]
        if self.failing:
            # The one that was tried least: an event that is the trouble itself holds up no other.
            ready.sort(key=lambda entry: (entry.attempts, entry.sequence))
        for entry in ready[:free]:
            entry.in_flight, entry.probe = True, self.failing
        return ready[:free]

    def wake_at(self, ordered: bool) -> float | None:
        """When the next try is due; None where nothing waits that could be tried."""
        due = min(map(self._due, self.eligible(ordered)), default=None)
        return None if due is None else max(due, self.quiet_until)

    def wait_seconds(self, now: float, ordered: bool) -> float | None:
        """After `start` at `now`: when to start again though nothing happens; None where only what
        happens can change anything. Both must be asked at one and the same time: what falls due
        between two would be waited for without end."""
        wake_at = self.wake_at(ordered)
        return None if wake_at is None or wake_at <= now else wake_at - now

    def _due(self, entry: Entry) -> float:
        return 0.0 if self.failing else entry.due_at

    def delivered(self, sequence: int) -> None:
        """The receiver took it."""
        if self.failing:
            for entry in self.entries.values():
                entry.due_at = 0.0
        self.failures, self.probes, self.failing_since, self.quiet_until = 0, 0, None, 0.0
        self.drop(sequence)

    def drop(self, sequence: int) -> None:
        """It was delivered, given up, or cannot be sent at all."""
        entry = self.entries.pop(sequence, None)
        if entry is not None and entry.again:
            self.entries[sequence] = Entry(sequence, entry.key)

    def failed(
        self,
        sequence: int,
        now: float,
        chance: float,
        *,
        gone: bool = False,
        retry_after: float | None = None,
        give_up_seconds: float = GIVE_UP_SECONDS,
    ) -> Verdict:
        """A try failed; what is to be done. `chance` is drawn from 0 to 1.

        An event that is to be given up stays in flight until `drop` is said.
        """
        entry = self.entries[sequence]
        entry.attempts += 1
        entry.first_at = entry.first_at or now
        self.failures += 1
        self.failing_since = now if self.failing_since is None else self.failing_since
        stretch = 1 + JITTER * chance
        entry.due_at = now + nth(RETRIES_SECONDS, entry.attempts - 1) * stretch
        if self.failing:
            self.probes += entry.probe
            pause = nth(PROBES_SECONDS, self.probes) * stretch
            self.quiet_until = max(self.quiet_until, now + pause)
        if retry_after is not None:
            asked = min(max(retry_after, 0.0), RETRY_AFTER_SECONDS_MAX)
            self.quiet_until = max(self.quiet_until, now + asked)
        if gone or (
            now - self.failing_since >= give_up_seconds and self.failures >= DISABLE_FAILURES_MIN
        ):
            return "disable"
        if (
            now - entry.first_at >= give_up_seconds
            and entry.attempts >= GIVE_UP_ATTEMPTS_MIN
            and not self.failing
        ):
            return "give-up"
        entry.in_flight = False
        return "again"

    def next_try_at(self, sequence: int) -> float | None:
        """When an event that waits may be tried next."""
        entry = self.entries.get(sequence)
        return None if entry is None else max(self._due(entry), self.quiet_until)


def nth(pauses: tuple[float, ...], number: int) -> float:
    """The pause of that number; the last one for all further."""
    return pauses[min(number, len(pauses) - 1)]


def to_document(outbox: Outbox) -> dict[str, Any]:
    """All that is to be kept, as JSON. What was in flight will be tried again."""
    return {
        "epoch": outbox.epoch,
        "position": outbox.position,
        "failures": outbox.failures,
        "probes": outbox.probes,
        "failing_since": outbox.failing_since,
        "quiet_until": outbox.quiet_until,
        "replayed": outbox.replayed,
        "replays": [[r.number, r.after, r.until, r.since] for r in outbox.replays],
        "entries": [
            [e.sequence, e.key, e.attempts, e.first_at, e.due_at] for e in outbox.entries.values()
        ],
    }


def from_document(document: dict[str, Any]) -> Outbox:
    """The outbox that was kept."""
    return Outbox(
        epoch=document["epoch"],
        position=document["position"],
        entries={row[0]: Entry(*row) for row in document["entries"]},
        failures=document["failures"],
        probes=document["probes"],
        failing_since=document["failing_since"],
        quiet_until=document["quiet_until"],
        replays=[Replay(*row) for row in document["replays"]],
        replayed=document["replayed"],
    )
