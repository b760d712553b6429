"""A `FeatureEngine` for tests of what surrounds one: no Feast, no child process, milliseconds.

It obeys the port's contract (the same suite runs on it and on `FeastEngine`) but adds no features:
the files hold the entity table alone, cut where the real engine cuts.
"""

from __future__ import annotations

from penstock_features.adapters.training_files import (
    describe_columns,
    label_warnings,
    ordered,
    read_entity_table,
    write_split,
)
from penstock_features.domain.materialization import (
    MaterializeRequest,
    MaterializeResult,
    Progress,
)
from penstock_features.errors import FeaturesError, InvalidRequestError, RepositoryError
from penstock_features.ports import ProgressListener


class FakeFeatureEngine:
    """Keeps the `requests` it was given; fails with the errors in `failures`, first come."""

    def __init__(self) -> None:
        self.requests: list[MaterializeRequest] = []
        self.failures: list[FeaturesError] = []

    async def materialize(
        self, request: MaterializeRequest, on_progress: ProgressListener | None = None
    ) -> MaterializeResult:
        """See `FeatureEngine.materialize`."""
        self.requests.append(request)
        if self.failures:
            raise self.failures.pop(0)
        if not (request.repository / "feature_store.yaml").is_file():
            raise RepositoryError("the repository has no feature_store.yaml at its root; add one")
        if (request.output / "repository").exists():
            raise InvalidRequestError("output: it holds an earlier run; give an empty folder")
        table = ordered(read_entity_table(request), request)
        (request.output / "repository").mkdir(parents=True)
        split = write_split(table, request)
        if on_progress is not None:
            on_progress(Progress(step="done", message="done", done=1, total=1))
        return MaterializeResult(
            training=split.training,
            training_rows=split.training_rows,
            holdout=split.holdout,
            holdout_rows=split.holdout_rows,
            holdout_after=split.after,
            columns=describe_columns(table.schema, request, (), ()),
            repository=request.output / "repository",
            online_views=(),
            online_as_of=split.newest,
            seconds=0.0,
            peak_memory_bytes=0,
            warnings=tuple(label_warnings(table, request)),
        )
