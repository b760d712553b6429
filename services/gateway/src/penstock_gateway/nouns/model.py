"""Models: every version with its metrics and lineage, and what each alias names."""

from collections.abc import Mapping
from typing import Any

from penstock_chassis.message import Recorded
from penstock_gateway.domain.view import UNKNOWN, Row, View, appended, plain, utc_text
from penstock_schemas import ModelDemoted, ModelPromoted, ModelRegistered


def _registered(row: Row, event: ModelRegistered, recorded: Recorded) -> Mapping[str, Any]:
    version = {
        "model_version": event.model_version,
        "artifact": plain(event.artifact),
        "metrics": dict(event.metrics),
        "lineage": plain(event.lineage),
        "aliases": [],
        "registered_at": utc_text(recorded.time),
    }
    return {
        "status": "registered" if row["status"] == UNKNOWN else row["status"],
        "latest_version": event.model_version,
        "metrics": dict(event.metrics),
        "versions": appended(row["versions"], version),
        "aliases": row["aliases"] or {},
    }


def _promoted(row: Row, event: ModelPromoted, recorded: Recorded) -> Mapping[str, Any]:
    change = {
        "model_version": event.model_version,
        "alias": event.alias,
        "since": utc_text(recorded.time),
        "evidence": dict(event.evidence),
        "promotion": event.promotion,
        "reason": event.reason,
    }
    aliases = {**(row["aliases"] or {}), event.alias: event.model_version}
    return {
        "status": "promoted",
        "reason": event.reason,
        **_with_aliases(row, aliases),
        "promotions": appended(row["promotions"], change),
    }


def _demoted(row: Row, event: ModelDemoted, _: Recorded) -> Mapping[str, Any]:
    aliases = dict(row["aliases"] or {})
    if aliases.get(event.alias) == event.model_version:
        del aliases[event.alias]
    return {
        "status": "promoted" if aliases else "registered",
        "reason": event.reason,
        **_with_aliases(row, aliases),
    }


def _with_aliases(row: Row, aliases: Mapping[str, int]) -> dict[str, Any]:
    """The aliases, and the same again beside each version."""
    versions = []
    for version in row["versions"] or ():
        names = sorted(a for a, v in aliases.items() if v == version["model_version"])
        same = names == version["aliases"]
        versions.append(version if same else {**version, "aliases": names})
    return {"aliases": aliases, "champion": aliases.get("champion"), "versions": versions}


VIEW = View(
    "model",
    {
        "latest_version": "Number of the newest version",
        "champion": "The version that the alias `champion` names",
        "aliases": "The version that each alias names",
        "metrics": "Metrics of the newest version",
        "versions": "Every version with metrics, lineage and aliases, oldest first",
        "promotions": "Every change of an alias with its evidence, oldest first",
    },
    {ModelRegistered: _registered, ModelPromoted: _promoted, ModelDemoted: _demoted},
)
