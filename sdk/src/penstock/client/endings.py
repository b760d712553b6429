"""Which events end the wait for a thing, and how they ended it. Pure.

A wait ends on any end: a failure or a refusal is an answer, too.
"""

from typing import Any, NamedTuple

from penstock.client.records import RecordedEvent

_GOOD = {
    "dataset": ("dataset.profiled",),
    "features": ("features.materialized",),
    "job": ("job.succeeded",),
    "experiment": ("experiment.completed",),
    "trial": ("trial.completed",),
    "promotion": ("model.promoted",),
    "endpoint": ("endpoint.ready",),
    "rollout": ("rollout.completed",),
    "queue": ("queue.configured",),
    "source": ("source.configured",),
}
_BAD = {
    "dataset": ("dataset.rejected",),
    "features": ("features.rejected",),
    "job": ("job.failed", "job.cancelled", "job.rejected"),
    "experiment": ("experiment.rejected",),
    "trial": ("trial.failed", "trial.pruned"),
    "promotion": ("promotion.refused", "promotion.rejected"),
    "endpoint": ("endpoint.rejected",),
    "rollout": ("rollout.rolledback",),
    "queue": ("queue.rejected",),
    "source": ("source.rejected",),
}
WAITABLE = frozenset(_GOOD)


class Ending(NamedTuple):
    """How a thing ended: well or not, by which event, and why."""

    ok: bool
    refused: bool
    reason: str
    event: RecordedEvent


def ending_types(noun: str) -> tuple[str, ...]:
    """The event types that can end the wait for a thing of this noun."""
    return _GOOD[noun] + _BAD[noun]


def ending(noun: str, id: str, event: RecordedEvent) -> Ending | None:
    """The ending that `event` is for the thing, or None where the wait goes on."""
    data = event.payload
    if event.type not in ending_types(noun) or id != _about(noun, event, data):
        return None
    if event.type == "job.failed" and not data.get("final"):
        return None
    ok = event.type in _GOOD[noun]
    if event.type == "experiment.completed" and data.get("best_trial") is None:
        ok = False
    refused = event.verb in ("rejected", "refused")
    return Ending(ok, refused, str(data.get("reason") or ""), event)


def _about(noun: str, event: RecordedEvent, data: Any) -> str:
    """The id of the thing that the event speaks of: a promotion is granted by the model's event."""
    return event.subject_id if event.noun == noun else str(data.get(noun) or "")
