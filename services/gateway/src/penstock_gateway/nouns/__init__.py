"""What the platform shows, one file a noun.

To add a noun: write its file with a `VIEW`, and name it in `VIEWS`. The read model, the HTTP API
and time travel follow from there.
"""

from collections.abc import Mapping

from penstock_gateway.domain.read_model import Projection
from penstock_gateway.domain.view import View
from penstock_gateway.nouns import (
    credential,
    dataset,
    endpoint,
    experiment,
    features,
    job,
    member,
    model,
    namespace,
    node,
    plan,
    promotion,
    queue,
    rollout,
    secret,
    source,
    subscription,
    token,
    trial,
    trigger,
    webhook,
)
from penstock_gateway.nouns.version import rows_version, triggers_version

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
        source,
        webhook,
        subscription,
        namespace,
        member,
        token,
        credential,
        secret,
    )
}

PROJECTION = Projection(VIEWS, rows_version(VIEWS.values()))
"""The read model that the gateway keeps."""
TRIGGERS_VERSION = triggers_version()

__all__ = ["PROJECTION", "TRIGGERS_VERSION", "VIEWS"]
