"""The point-in-time join of a feature service onto the entity table, by Feast.

Feast is asked for each distinct (keys, request data, time) once; its answer is then dealt to every
entity row that asked. Rows that share a key and a time are many (flights that leave one airport in
one minute), and whatever Feast does with equal rows cannot cost one of ours. The number and the
order of the answers are checked, never assumed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from penstock_features.adapters.feast_repository import locate
from penstock_features.adapters.patched_feast import is_local_parquet, source_files
from penstock_features.adapters.repository_files import DATA_FOLDER
from penstock_features.errors import EngineError, InvalidRequestError, RepositoryError

ROW = "penstock_row"
FEAST_TIME = "event_timestamp"
ASK_ROWS = 25_000
"""Distinct rows asked of Feast at a time: its memory grows with them, times rows within the ttl."""
_NO_ENTITY_KEY = "__dummy_id"


@dataclass(frozen=True, kw_only=True)
class Service:
    """A feature service as the join needs it: what it gives and what it asks for."""

    definition: Any
    features: tuple[str, ...]
    keys: tuple[str, ...]
    request_columns: tuple[str, ...]
    views: tuple[Any, ...]


def find_service(store: Any, name: str) -> Service:
    """Look up the feature service and the views behind it; `RepositoryError` if it is not there."""
    services = {service.name: service for service in store.list_feature_services()}
    if name not in services:
        known = ", ".join(sorted(services)) or "none"
        raise RepositoryError(
            f"the repository defines no feature service {name!r} (services: {known})"
        )
    stored = {view.name: view for view in store.list_feature_views()}
    on_demand = {view.name: view for view in store.list_on_demand_feature_views()}
    views: dict[str, Any] = {}
    keys: list[str] = []
    request_columns: list[str] = []
    features: list[str] = []
    for projection in services[name].feature_view_projections:
        features += [field.name for field in projection.features]
        sources = [projection]
        if projection.name in on_demand:
            view = on_demand[projection.name]
            request_columns += list(view.get_request_data_schema())
            sources = list(view.source_feature_view_projections.values())
        for source in sources:
            views[source.name] = stored[source.name]
            renamed = source.join_key_map or {}
            keys += [renamed.get(key, key) for key in stored[source.name].join_keys]
    return Service(
        definition=services[name],
        features=tuple(features),
        keys=tuple(dict.fromkeys(key for key in keys if key != _NO_ENTITY_KEY)),
        request_columns=tuple(dict.fromkeys(request_columns)),
        views=tuple(views.values()),
    )


def check_entity_columns(service: Service, entity_table: str, schema: pa.Schema) -> None:
    """Refuse an entity table that lacks a column the service asks for, or has one that it gives."""
    for column in (*service.keys, *service.request_columns):
        if column not in schema.names:
            raise InvalidRequestError(
                f"feature service {service.definition.name!r} needs column {column!r}, which table "
                f"{entity_table!r} does not have; add it, or rename the join key"
            )
    for feature in service.features:
        if feature in schema.names:
            raise RepositoryError(
                f"feature {feature!r} has the name of a column of table {entity_table!r}; rename "
                "one (a FileSource renames by field_mapping)"
            )


def check_sources(service: Service, repository: Path, entity_schema: pa.Schema) -> None:
    """Refuse a view whose files or columns are not in the dataset."""
    for view in service.views:
        source = view.batch_source
        if source is None or not is_local_parquet(source):
            continue
        files = source_files(source, repository)
        where = locate(repository, source.path)
        if not files:
            tables = ", ".join(
                sorted(p.name for p in (repository / DATA_FOLDER).iterdir() if p.is_dir())
            )
            raise RepositoryError(
                f"{where}: feature view {view.name!r} reads {source.path!r}, which holds no "
                f"Parquet file; the dataset's tables lie under data/: {tables}"
            )
        mapped = dict(source.field_mapping)
        schema = pq.read_schema(files[0])
        there = {mapped.get(name, name): schema.field(name).type for name in schema.names}
        wanted = [source.timestamp_field, source.created_timestamp_column]
        wanted += [f.name for f in view.features]
        wanted += [key for key in view.join_keys if key != _NO_ENTITY_KEY]
        for column in wanted:
            if column and column not in there and mapped.get(column) not in there:
                raise RepositoryError(
                    f"{locate(repository, column)}: feature view {view.name!r} names column "
                    f"{column!r}, which {source.path!r} does not have "
                    f"(columns: {', '.join(there)})"
                )
        for key in view.join_keys:
            if key in there and key in entity_schema.names:
                _check_same_kind(view.name, key, there[key], entity_schema.field(key).type)


def join(store: Any, service: Service, table: pa.Table, at: str) -> pa.Table:
    """Return `table` with the service's features appended.

    Raises `EngineError` where Feast does not answer each distinct row exactly once.
    """
    asked = list(dict.fromkeys((*service.keys, *service.request_columns)))
    frame = table.select([*asked, at]).rename_columns([*asked, FEAST_TIME]).to_pandas()
    group = frame.groupby([*asked, FEAST_TIME], sort=False, dropna=False).ngroup().to_numpy()
    _, first = np.unique(group, return_index=True)
    spine = frame.iloc[first].reset_index(drop=True)
    spine[ROW] = np.arange(len(spine))
    parts = [
        _ask(store, service, spine.iloc[start : start + ASK_ROWS])
        for start in range(0, len(spine), ASK_ROWS)
    ]
    answer = pa.concat_tables(parts, promote_options="permissive")
    dealt = answer.take(pa.array(group))
    for name in service.features:
        table = table.append_column(name, dealt[name])
    return table


def _ask(store: Any, service: Service, spine: pd.DataFrame) -> pa.Table:
    """Return the features of each row of `spine`, in its order."""
    job = store.get_historical_features(entity_df=spine.copy(), features=service.definition)
    answer = job.to_arrow().sort_by(ROW)
    if not np.array_equal(answer[ROW].to_numpy(), spine[ROW].to_numpy()):
        raise EngineError(
            f"Feast answered {answer.num_rows} rows for {len(spine)} asked; each must be answered "
            "exactly once. Nothing was written."
        )
    return answer.select(list(service.features))


def _check_same_kind(view: str, key: str, ours: pa.DataType, theirs: pa.DataType) -> None:
    kinds: Sequence[Any] = (pa.types.is_integer, _is_text)
    if any(is_kind(ours) != is_kind(theirs) for is_kind in kinds):
        raise RepositoryError(
            f"feature view {view!r}: join key {key!r} is {ours} in its source but {theirs} in the "
            "entity table; write both with one type"
        )


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
