"""One materialisation, step by step, inside the child process."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from penstock_features.adapters.repository_files import copy_repository, read_config
from penstock_features.adapters.training_files import (
    describe_columns,
    label_warnings,
    ordered,
    read_entity_table,
    write_split,
)
from penstock_features.domain.materialization import MaterializeRequest, Progress

STEPS = 6
REPOSITORY_NAME = "repository"
DUCKDB_SHARE = 0.5
"""The part of the memory bound that DuckDB may use; the rest is Feast, pandas and Arrow."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def materialize(
    request: MaterializeRequest, *, memory_bytes: int, on_progress: Callable[[Progress], None]
) -> dict[str, Any]:
    """Do the work and return the result as plain JSON, all but the peak of memory."""
    started = time.perf_counter()
    warnings: list[str] = []

    def step(done: int, name: str, message: str) -> None:
        on_progress(Progress(step=name, message=message, done=done, total=STEPS))

    # 1. The request's own files: what does not fit is said before the seconds that Feast takes.
    step(0, "read", f"reading table {request.entity_table!r}")
    table = read_entity_table(request)
    warnings += label_warnings(table, request)
    request.output.mkdir(parents=True, exist_ok=True)
    repository = (request.output / REPOSITORY_NAME).absolute()
    copy_repository(request.repository, repository, request.tables)
    raw_config, config_warnings = read_config(repository)
    warnings += config_warnings

    step(1, "import", "loading Feast")
    from penstock_features.adapters import feast_join, feast_repository  # noqa: PLC0415
    from penstock_features.adapters.patched_feast import (  # noqa: PLC0415
        FeatureStore,
        bound_duckdb,
    )

    # 2. `feast apply` on the copy, which has the data beside it.
    step(2, "apply", "applying the feature repository")
    config = feast_repository.load_config(repository, raw_config)
    bound_duckdb(int(memory_bytes * DUCKDB_SHARE))
    feast_repository.apply(config, repository)

    # 3. Does the service fit the data? Said here, with file and line, rather than by the join.
    store = FeatureStore(config=config)
    service = feast_join.find_service(store, request.feature_service)
    feast_join.check_entity_columns(service, request.entity_table, table.schema)
    feast_join.check_sources(service, repository, table.schema)

    # 4. The join.
    step(3, "join", f"joining {len(service.features)} features onto {table.num_rows} rows")
    with feast_repository.blaming(repository):
        table = feast_join.join(store, service, table, request.timestamp_column)

    # 5. The files.
    step(4, "write", "writing the training and the holdout file")
    table = ordered(table, request)
    split = write_split(table, request)

    # 6. The online store, as of the newest entity row: what that row saw, a server will see.
    step(5, "online", "filling the online store")
    online = [view.name for view in service.views if view.online]
    offline_only = sorted({view.name for view in service.views} - set(online))
    warnings += [f"feature view {name!r} has online=False: not served" for name in offline_only]
    if online:
        with feast_repository.blaming(repository):
            store.materialize(EPOCH, split.newest, feature_views=online)
    step(STEPS, "done", f"{split.training_rows} training rows, {split.holdout_rows} held out")
    columns = describe_columns(table.schema, request, service.keys, service.features)
    return {
        "training": str(split.training),
        "training_rows": split.training_rows,
        "holdout": str(split.holdout),
        "holdout_rows": split.holdout_rows,
        "holdout_after": split.after.isoformat(),
        "columns": [vars(column) for column in columns],
        "repository": str(repository),
        "online_views": sorted(online),
        "online_as_of": split.newest.isoformat(),
        "seconds": time.perf_counter() - started,
        "warnings": warnings,
    }
