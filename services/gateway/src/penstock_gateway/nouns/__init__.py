"""What the platform shows, one file a noun.

To add a noun: write its file with a `VIEW`, and name it in `VIEWS`. The read model, the HTTP API
and time travel follow from there.
"""

from collections.abc import Mapping

from penstock_gateway.nouns import (
    dataset,
    endpoint,
    experiment,
    features,
    job,
    model,
    node,
    plan,
    promotion,
    queue,
    rollout,
    trial,
    trigger,
    webhook,
)
from penstock_gateway.nouns.view import BASE_COLUMNS, Row, View

VIEWS: Mapping[str, View] = {
    module.VIEW.noun: module.VIEW
    for module in (
        dataset,
        features,
        job,
        node,
        queue,
        plan,
        experiment,
        trial,
        model,
        promotion,
        endpoint,
        rollout,
        trigger,
        webhook,
    )
}

__all__ = ["BASE_COLUMNS", "VIEWS", "Row", "View"]
