"""What the front counts. Labels are names of endpoints that exist, so their number is bounded."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

LATENCY_BUCKETS_SECONDS = (
    *(0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075),
    *(0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5),
    *(1, 2, 5, 10, 30),
)
UNKNOWN = ("", "")
"""The label pair of requests for endpoints that do not exist."""


class FrontMetrics:
    """Prometheus series of one front. Label lookups, dearer than counting, are remembered."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._requests = Counter(
            "penstock_inference_requests_total",
            "Requests answered by the inference front, by endpoint and HTTP status.",
            ("namespace", "endpoint", "code"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "penstock_inference_request_seconds",
            "Time from a complete inference request to its answer, in the front.",
            ("namespace", "endpoint"),
            buckets=LATENCY_BUCKETS_SECONDS,
            registry=self.registry,
        )
        self._in_flight = Gauge(
            "penstock_inference_requests_in_flight",
            "Inference requests taken and not yet answered.",
            registry=self.registry,
        )
        self._counters: dict[tuple[str, str, int], Counter] = {}
        self._histograms: dict[tuple[str, str], Histogram] = {}

    def count(self, namespace: str, endpoint: str, code: int) -> None:
        """One request was answered."""
        key = (namespace, endpoint, code)
        counter = self._counters.get(key)
        if counter is None:
            counter = self._requests.labels(namespace, endpoint, str(code))
            self._counters[key] = counter
        counter.inc()

    def observe(self, namespace: str, endpoint: str, seconds: float) -> None:
        """One inference request took so long."""
        key = (namespace, endpoint)
        histogram = self._histograms.get(key)
        if histogram is None:
            histogram = self._histograms[key] = self._seconds.labels(namespace, endpoint)
        histogram.observe(seconds)

    def taken(self) -> None:
        """An inference request waits for its answer."""
        self._in_flight.inc()

    def released(self) -> None:
        """An inference request was answered or withdrawn."""
        self._in_flight.dec()
