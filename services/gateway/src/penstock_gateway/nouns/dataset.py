"""Datasets: the newest version first in sight, all versions behind it."""

from collections.abc import Mapping
from typing import Any

from penstock_chassis.message import Recorded
from penstock_gateway.domain.view import Row, View, appended, plain, refusal_text, utc_text
from penstock_schemas import DatasetProfiled, DatasetRegistered, DatasetRejected, DatasetRequested


def _requested(row: Row, event: DatasetRequested, _: Recorded) -> Mapping[str, Any]:
    return {"versions": row["versions"] or [], "status": "taking-in", "reason": ""}


def _registered(row: Row, event: DatasetRegistered, recorded: Recorded) -> Mapping[str, Any]:
    version = {
        "dataset_version": event.dataset_version,
        "manifest": plain(event.manifest),
        "files": event.files,
        "size_bytes": event.size_bytes,
        "parent": event.parent,
        "registered_at": utc_text(recorded.time),
        "status": "registered",
        "rows": None,
        "reason": "",
    }
    known = [v for v in row["versions"] or () if v["dataset_version"] == event.dataset_version]
    if known:  # the same content registered again is the same version
        return {"status": known[0]["status"]}
    return {
        "status": "registered",
        "reason": "",
        "version": len(row["versions"] or ()) + 1,
        "dataset_version": event.dataset_version,
        "files": event.files,
        "size_bytes": event.size_bytes,
        "rows": None,
        "versions": appended(row["versions"], version),
    }


def _profiled(row: Row, event: DatasetProfiled, _: Recorded) -> Mapping[str, Any]:
    rows = {table.table: table.rows for table in event.tables}
    change = {"status": "profiled", "rows": sum(rows.values()), "tables": rows, "reason": ""}
    return _with_version(row, event.dataset_version, change)


def _rejected(row: Row, event: DatasetRejected, _: Recorded) -> Mapping[str, Any]:
    change = {"status": "rejected", "reason": refusal_text(event)}
    if event.dataset_version is None and row["dataset_version"] is not None:
        stands = [v for v in row["versions"] if v["dataset_version"] == row["dataset_version"]]
        return {"status": stands[0]["status"], "reason": change["reason"]}
    return _with_version(row, event.dataset_version, change)


def _with_version(row: Row, digest: str | None, change: Mapping[str, Any]) -> Mapping[str, Any]:
    """Change one version, and the dataset itself where that is its newest."""
    versions = [
        {**version, **{k: v for k, v in change.items() if k in version}}
        if version["dataset_version"] == digest
        else version
        for version in row["versions"] or ()
    ]
    newest = row["dataset_version"] in (None, digest)
    return {"versions": versions, **(change if newest else {})}


VIEW = View(
    "dataset",
    {
        "version": "Number of the newest version, from 1",
        "dataset_version": "Digest of the newest version",
        "files": "Files of the newest version",
        "size_bytes": "Bytes of the newest version",
        "rows": "Rows of all tables of the newest version, once profiled",
        "tables": "Rows by table of the newest version, once profiled",
        "versions": "Every version, oldest first",
    },
    {
        DatasetRequested: _requested,
        DatasetRegistered: _registered,
        DatasetProfiled: _profiled,
        DatasetRejected: _rejected,
    },
)
