"""What the features service needs of the world."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from penstock_features.domain.materialization import (
    MaterializeRequest,
    MaterializeResult,
    Progress,
)

ProgressListener = Callable[[Progress], None]


class FeatureEngine(Protocol):
    """Makes point-in-time correct training data from a Feast repository and a dataset."""

    async def materialize(
        self, request: MaterializeRequest, on_progress: ProgressListener | None = None
    ) -> MaterializeResult:
        """Write the training and the holdout file, and fill the online store.

        One row out for each row of the entity table, in its order. Equal requests write equal
        files. Cancelling stops the run. Raises `InvalidRequestError` (the request does not fit the
        data), `RepositoryError` (the repository is at fault) or `EngineError` (stopped, broken).
        """
        ...
