"""Waiting lines: for each class of jobs that ask for the same, and each queue, one line.

The planner looks at the head of each line only: what is behind it asks for the same and comes
later. A line is sorted by (rank, sequence of the request); ranks are numbers that do not change
while a job waits (see `policy`).
"""

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass, field

from penstock_scheduler.domain.planner.jobs import Ask, Job
from penstock_scheduler.domain.planner.quotas import Key

COMPACT_MIN = 64
"""Taken entries at the front of a line before it is cut."""

Entry = tuple[float, int, Key]
"""Rank, sequence of the request, job."""


@dataclass(slots=True)
class Line:
    """A sorted list that is mostly taken from at its front."""

    entries: list[Entry] = field(default_factory=list)
    first: int = 0

    def __len__(self) -> int:
        return len(self.entries) - self.first

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries[self.first :])

    def head(self) -> Entry:
        """The next one. Raises `IndexError` where the line is empty."""
        return self.entries[self.first]

    def put(self, entry: Entry) -> None:
        """Put in at its place."""
        if self.first and entry < self.entries[self.first]:
            self.first -= 1
            self.entries[self.first] = entry
            return
        insort(self.entries, entry, lo=self.first)

    def take(self, entry: Entry) -> None:
        """Take out, wherever it is."""
        at = bisect_left(self.entries, entry, lo=self.first)
        if at == self.first:
            self.first += 1
            if self.first > COMPACT_MIN and 2 * self.first > len(self.entries):
                del self.entries[: self.first]
                self.first = 0
        else:
            del self.entries[at]


@dataclass(slots=True)
class Lines:
    """All lines, by class and queue."""

    by_ask: dict[Ask, dict[Key, Line]] = field(default_factory=dict)
    by_queue: dict[Key, dict[Ask, Line]] = field(default_factory=dict)
    count: int = 0

    def put(self, job: Job, rank: float) -> None:
        """A job begins to wait."""
        line = self.by_ask.setdefault(job.ask, {}).get(job.queue)
        if line is None:
            line = self.by_ask[job.ask][job.queue] = Line()
            self.by_queue.setdefault(job.queue, {})[job.ask] = line
        line.put((rank, job.asked, job.key))
        self.count += 1

    def take(self, job: Job, rank: float) -> None:
        """A job waits no longer."""
        line = self.by_ask[job.ask][job.queue]
        line.take((rank, job.asked, job.key))
        self.count -= 1
        if not len(line):
            del self.by_ask[job.ask][job.queue]
            del self.by_queue[job.queue][job.ask]
            if not self.by_ask[job.ask]:
                del self.by_ask[job.ask]
            if not self.by_queue[job.queue]:
                del self.by_queue[job.queue]
