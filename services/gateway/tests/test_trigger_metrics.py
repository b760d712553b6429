"""What the metrics say of triggers, and that there are only so many series."""

from datetime import UTC, datetime
from typing import Any

from penstock_chassis.metrics import REGISTRY
from penstock_gateway.domain.firing import Firing
from penstock_gateway.handlers.trigger_metrics import (
    FIRINGS,
    OTHERS,
    TRIGGERS_NAMED_MAX,
    TriggerMetrics,
)

from .test_http_triggers import declare, happen, judged

NAMESPACE = "vision"


def value(metric: str, trigger: str = "retrain", **labels: str) -> float | None:
    given = {"namespace": NAMESPACE, "trigger": trigger, **labels}
    return REGISTRY.get_sample_value(f"penstock_trigger_{metric}", given)


async def test_what_becomes_of_firings_is_counted_by_trigger(api: Any) -> None:
    await declare(api, "counted", cooldown_seconds=1000)
    await declare(api, "bad", do={"type": "queue.requested", "data": {"queue": "Not A Name"}})
    await declare(api, "unfit", when="event.source + 1 == 2")
    for number in range(3):
        await happen(api, number)
    await judged(api)
    assert value("firings_total", "counted") == 1
    assert value("suppressed_total", "counted", reason="cooldown") == 2
    assert value("refusals_total", "bad") == 3
    assert value("evaluation_failures_total", "unfit") == 3
    assert value("evaluation_seconds_count", "counted") == 3
    assert value("owed_firings", "counted") == 0


async def test_a_deleted_trigger_has_no_series_any_more(api: Any) -> None:
    await declare(api, "gone")
    await happen(api, 1)
    await judged(api)
    assert value("firings_total", "gone") == 1
    await api.client.delete("/v1/vision/trigger/gone")
    await judged(api)
    assert "gone" not in {
        sample.labels.get("trigger") for metric in REGISTRY.collect() for sample in metric.samples
    }


def test_triggers_beyond_a_number_are_counted_together() -> None:
    metrics = TriggerMetrics(lambda key: 7 if key is None else 0)
    firing = Firing(datetime(2026, 1, 1, tzinfo=UTC))
    metrics.hear((NAMESPACE, "early"), firing, "fired", "fired")
    assert not metrics.named((NAMESPACE, "early"))  # it was read again, not new
    metrics.live = True
    names = [(NAMESPACE, f"many-{number}") for number in range(TRIGGERS_NAMED_MAX + 5)]
    for key in names:
        metrics.hear(key, firing, "fired", "fired")
    try:
        others = {"namespace": OTHERS[0], "trigger": OTHERS[1]}
        assert REGISTRY.get_sample_value("penstock_trigger_firings_total", others) == 5
        assert REGISTRY.get_sample_value("penstock_trigger_owed_firings", others) == 7
        metrics.forget(names[0])
        metrics.hear(names[-1], firing, "fired", "fired")
        assert value("firings_total", names[-1][1]) == 1
    finally:
        for key in names:
            metrics.forget(key)
        FIRINGS.remove(*OTHERS)
