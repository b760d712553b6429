"""When has ended what a wish asked for: what `concurrency` of triggers goes by."""

from penstock_schemas import Event, event_types

ENDINGS = {
    "job.requested": ("job.succeeded", "job.failed", "job.cancelled", "job.rejected"),
    "experiment.requested": ("experiment.completed", "experiment.rejected"),
    "dataset.requested": ("dataset.registered", "dataset.rejected"),
    "endpoint.requested": ("endpoint.ready", "endpoint.rejected"),
    "features.requested": ("features.materialized", "features.rejected"),
    "promotion.requested": ("promotion.refused", "promotion.rejected"),
}
"""By wish: the events of the same thing that end it."""
ENDING_TYPES = frozenset(type for types in ENDINGS.values() for type in types)
assert event_types().keys() >= ENDING_TYPES


def ends(event: Event) -> bool:
    """Whether a thing has ended by this; a failed attempt that is tried again has not."""
    return event.type in ENDING_TYPES and bool(getattr(event, "final", True))


def cancel_type(wish: str) -> str | None:
    """The wish that ends what another wish asked for, None where there is none."""
    type = f"{wish.partition('.')[0]}.cancel-requested"
    return type if type in event_types() else None
