"""What can go wrong in a simulated world, how often, and where a service dies."""

from dataclasses import dataclass, fields
from typing import Literal

Side = Literal["before", "after"]


class SimCrash(BaseException):
    """The process of this incarnation is gone: its code must not go on.

    Not an `Exception`, so that no handler takes it for a failure that it can deal with.
    """


@dataclass(frozen=True, slots=True)
class CrashPlan:
    """Die at one port call of one incarnation (`at` counts from 1), before or after its effect."""

    at: int
    when: Side = "before"

    def __str__(self) -> str:
        return f"{self.when} port call {self.at}"


@dataclass(frozen=True, slots=True)
class Faults:
    """The probability of each fault, 0 to 1, and how long delays last in virtual seconds.

    Appends, dead letters and telemetry know three ways to end in `Unavailable`: refused without
    effect, taken but the answer is lost, and taken later, after the caller was told.
    """

    drop_ack: float = 0.0
    """An `ack`, `nak` or `term` has no effect: the message comes again after its lease."""
    duplicate: float = 0.0
    """A delivery comes once more within `duplicate_seconds_max`, acknowledged or not."""
    delay: float = 0.0
    """A port call takes up to `delay_seconds_max`, before or after its effect."""
    reorder: float = 0.0
    """A new message comes up to `reorder_seconds_max` late, after those behind it."""
    lose_publish_answer: float = 0.0
    """The append took effect, but the caller gets `Unavailable`."""
    late_publish: float = 0.0
    """The caller gets `Unavailable`; the append takes effect up to `delay_seconds_max` later."""
    refuse_publish: float = 0.0
    """The append has no effect and the caller gets `Unavailable`."""
    refuse_read: float = 0.0
    """A read, get or head of a stream gives `Unavailable`."""
    delay_seconds_max: float = 2.0
    duplicate_seconds_max: float = 1.0
    reorder_seconds_max: float = 2.0
    answer_timeout_seconds: float = 1.0
    """How long a caller waits for an answer that does not come."""

    def __str__(self) -> str:
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        changed = [f"{f.name}={given[f.name]}" for f in fields(self) if given[f.name] != f.default]
        return f"Faults({', '.join(changed)})"

    @classmethod
    def rough(cls, probability: float = 0.1) -> "Faults":
        """Everything at once, each with the same probability."""
        return cls(
            drop_ack=probability,
            duplicate=probability,
            delay=probability,
            reorder=probability,
            lose_publish_answer=probability,
            late_publish=probability,
            refuse_publish=probability,
        )


NO_FAULTS = Faults()
