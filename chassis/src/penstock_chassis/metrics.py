"""The metrics that every service has. Names are `penstock_<noun>_<unit>`; ids are never labels."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

REGISTRY = CollectorRegistry()
"""The registry of this process; services add their own metrics to it."""

LABELS_MAX = 4096
"""Children kept at hand: services times types times outcomes, all of them from our own code."""
SECONDS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0, 120.0)

HANDLED = Counter(
    "penstock_events_handled_total",
    "Handled events by outcome: handled, retry, rejected, conflict, failed",
    ("service", "type", "outcome"),
    registry=REGISTRY,
)
REDELIVERED = Counter(
    "penstock_events_redelivered_total",
    "Deliveries that were not the first",
    ("service", "type"),
    registry=REGISTRY,
)
HANDLING_SECONDS = Histogram(
    "penstock_event_handling_seconds",
    "From decoded to handled, the append included",
    ("service", "type"),
    buckets=SECONDS_BUCKETS,
    registry=REGISTRY,
)
DEAD_LETTERS = Counter(
    "penstock_dead_letters_total", "Messages given up on", ("service",), registry=REGISTRY
)
FOLD_POSITION = Gauge(
    "penstock_fold_position",
    "The last sequence of the log that the service has folded; of several folds the first",
    ("service",),
    registry=REGISTRY,
)


@lru_cache(maxsize=LABELS_MAX)
def handled(service: str, type: str, outcome: str) -> Counter:
    """The child of `HANDLED`; looked up once, because the lookup costs more than the count."""
    return HANDLED.labels(service, type, outcome)


@lru_cache(maxsize=LABELS_MAX)
def handling_seconds(service: str, type: str) -> Histogram:
    """The child of `HANDLING_SECONDS`."""
    return HANDLING_SECONDS.labels(service, type)


def exposition() -> bytes:
    """The metrics of this process in the Prometheus text format."""
    return generate_latest(REGISTRY)


@contextmanager
def exposed(metrics: CollectorRegistry) -> Iterator[None]:
    """Show further metrics at `/metrics` of this process, for as long as they live."""
    REGISTRY.register(metrics)
    try:
        yield
    finally:
        REGISTRY.unregister(metrics)
