"""The metrics of triggers: what became of firings, and what their conditions cost.

All but the time is counted as the log says it, from where the log stood when this gateway began:
each of several gateways counts the same, so take one of them, not their sum.

A trigger's name is a label for the first `TRIGGERS_NAMED_MAX` that are heard of; the others are
counted together, under empty names. A deleted trigger's series go, and its place is free again.
"""

from collections.abc import Callable

from prometheus_client import Counter, Gauge, Histogram

from penstock_chassis.metrics import REGISTRY
from penstock_gateway.domain.descent import TriggerKey
from penstock_gateway.domain.firing import Firing
from penstock_gateway.domain.timing import SUPPRESSIONS

TRIGGERS_NAMED_MAX = 200
"""Triggers with series of their own: at most about 20 each."""
OTHERS: TriggerKey = ("", "")
"""The labels of all further ones."""
LABELS = ("namespace", "trigger")
SECONDS_BUCKETS = (0.0001, 0.001, 0.01, 0.1, 1.0)

FIRINGS = Counter(
    "penstock_trigger_firings_total",
    "Firings that were made",
    ("namespace", "trigger"),
    registry=REGISTRY,
)
SUPPRESSED = Counter(
    "penstock_trigger_suppressed_total",
    "Firings that were not made though the condition held, by reason: cooldown, throttle, running, "
    "full, loop, missed",
    ("namespace", "trigger", "reason"),
    registry=REGISTRY,
)
REFUSED = Counter(
    "penstock_trigger_refusals_total",
    "Firings that could not be made and wishes that were refused: `trigger.rejected` says why",
    ("namespace", "trigger"),
    registry=REGISTRY,
)
FAILURES = Counter(
    "penstock_trigger_evaluation_failures_total",
    "Conditions that could not be evaluated, or gave neither true nor false",
    ("namespace", "trigger"),
    registry=REGISTRY,
)
SECONDS = Histogram(
    "penstock_trigger_evaluation_seconds",
    "Time to judge one event by a condition, the row included where it asks for it",
    ("namespace", "trigger"),
    buckets=SECONDS_BUCKETS,
    registry=REGISTRY,
)
OWED = Gauge(
    "penstock_trigger_owed_firings",
    "What is decided and not yet in the log",
    ("namespace", "trigger"),
    registry=REGISTRY,
)


class TriggerMetrics:
    """The metrics of one desk of triggers."""

    def __init__(self, owed: Callable[[TriggerKey | None], int]) -> None:
        """`owed` says how much a trigger owes now, or, for None, those without a name here."""
        self._owed = owed
        self._named: set[TriggerKey] = set()
        self.live = False
        """Whether what is heard is new: what is read again at a start was counted by then."""

    def hear(self, key: TriggerKey, firing: Firing, text: str, outcome: str) -> None:
        """Count what became of a firing; see `Listener`."""
        if not self.live or not outcome:
            return
        labels = self._labels(key)
        if outcome == "fired":
            FIRINGS.labels(*labels).inc()
        elif outcome == "refused":
            REFUSED.labels(*labels).inc()
        elif outcome == "failed":
            FAILURES.labels(*labels).inc()
        elif outcome in SUPPRESSIONS:
            SUPPRESSED.labels(*labels, outcome).inc()

    def took(self, key: TriggerKey, seconds: float) -> None:
        """A condition was evaluated."""
        if self.live:
            SECONDS.labels(*self._labels(key)).observe(seconds)

    def named(self, key: TriggerKey) -> bool:
        """Whether a trigger has series of its own."""
        return key in self._named

    def forget(self, key: TriggerKey) -> None:
        """A trigger was deleted."""
        if key not in self._named:
            return
        self._named.discard(key)
        for metric in (FIRINGS, REFUSED, FAILURES, SECONDS, OWED):
            metric.remove(*key)
        for reason in SUPPRESSIONS:
            SUPPRESSED.remove(*key, reason)

    def _labels(self, key: TriggerKey) -> TriggerKey:
        if key in self._named:
            return key
        if len(self._named) >= TRIGGERS_NAMED_MAX:
            OWED.labels(*OTHERS).set_function(lambda: self._owed(None))
            return OTHERS
        self._named.add(key)
        OWED.labels(*key).set_function(lambda: self._owed(key))
        return key
