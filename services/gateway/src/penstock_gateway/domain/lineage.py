"""Lineage of a model: from the dataset version to the endpoint revision, as a graph.

Read from rows alone. Digests are what joins them: a job's input is a features' materialisation
where both name the same bytes.
"""

from collections.abc import Iterator
from typing import Any

from penstock_gateway.domain.read_model import ReadModel
from penstock_gateway.domain.view import Row

LINEAGE_NOUNS = ("features", "dataset", "endpoint")
"""Nouns of which all rows are looked through."""


class Graph:
    """Nodes by id and edges from cause to effect, both in the order of their finding."""

    def __init__(self) -> None:
        self.nodes: dict[str, dict[str, Any]] = {}
        self.edges: dict[tuple[str, str], None] = {}

    def node(self, noun: str, name: str, part: str = "", label: str = "", **columns: Any) -> str:
        """Add a node; its id in the graph. `part` tells versions of one thing apart."""
        id = f"{noun}/{name}" + (f"@{part}" if part else "")
        if id not in self.nodes:
            label = label or (f"{name} {_short(part)}" if part else name)
            self.nodes[id] = {"id": id, "noun": noun, "name": name, "label": label, **columns}
        return id

    def edge(self, cause: str, effect: str) -> None:
        """Add an edge."""
        if cause != effect:
            self.edges[cause, effect] = None

    def document(self) -> dict[str, Any]:
        """As the API writes it."""
        return {
            "nodes": list(self.nodes.values()),
            "edges": [list(edge) for edge in self.edges],
        }


def named_by(model: Row) -> list[tuple[str, str]]:
    """The rows (noun and id) that the versions of a model name."""
    made = [version["lineage"] for version in model["versions"] or ()]
    return [(noun, one[noun]) for one in made for noun in ("job", "trial") if one and one.get(noun)]


def lineage(rows: ReadModel, model: Row) -> dict[str, Any]:
    """The graph of every version of a model."""
    graph, namespace = Graph(), model["namespace"]
    for version in model["versions"] or ():
        number = version["model_version"]
        key = graph.node(
            "model",
            model["id"],
            str(number),
            f"{model['id']} version {number}",
            model_version=number,
            metrics=version["metrics"],
            aliases=version["aliases"],
        )
        _upstream(rows, graph, namespace, key, version["lineage"])
        _downstream(rows, graph, namespace, key, model["id"], number)
    return graph.document()


def _upstream(rows: ReadModel, graph: Graph, namespace: str, key: str, made: Row) -> None:
    nearest = key
    job = rows.find(namespace, "job", made["job"]) if made.get("job") else None
    if made.get("job"):
        status = job["status"] if job else None
        nearest = graph.node("job", made["job"], status=status)
        graph.edge(nearest, key)
    if made.get("trial"):
        trial = rows.find(namespace, "trial", made["trial"])
        above = graph.node("trial", made["trial"], value=trial["value"] if trial else None)
        graph.edge(above, nearest)
        nearest = above
    if made.get("experiment"):
        above = graph.node("experiment", made["experiment"])
        graph.edge(above, nearest)
        nearest = above
    inputs = dict(made.get("inputs") or {}) or dict((job or {}).get("inputs") or {})
    for name, digest in inputs.items():
        sources = list(_sources(rows, graph, namespace, digest))
        for source in sources or [graph.node("object", name, digest, digest=digest)]:
            graph.edge(source, nearest)


def _sources(rows: ReadModel, graph: Graph, namespace: str, digest: str) -> Iterator[str]:
    """The materialisations and dataset versions that are these bytes."""
    for features in rows.newest_first(namespace, "features"):
        for made in features["versions"] or ():
            if digest in (made["training_digest"], made["holdout_digest"]):
                version = made["dataset_version"]
                key = graph.node("features", features["id"], version, dataset_version=version)
                graph.edge(_dataset(graph, made["dataset"], version), key)
                yield key
    for dataset in rows.newest_first(namespace, "dataset"):
        for version in dataset["versions"] or ():
            if digest in (version["dataset_version"], version["manifest"]["digest"]):
                yield _dataset(graph, dataset["id"], version["dataset_version"])


def _dataset(graph: Graph, id: str, version: str) -> str:
    return graph.node("dataset", id, version, dataset_version=version)


def _downstream(
    rows: ReadModel, graph: Graph, namespace: str, key: str, model: str, number: int
) -> None:
    for endpoint in rows.newest_first(namespace, "endpoint"):
        for served in endpoint["served"] or ():
            if served["model"] == model and served["model_version"] == number:
                revision = served["revision"]
                effect = graph.node(
                    "endpoint",
                    endpoint["id"],
                    str(revision),
                    f"{endpoint['id']} revision {revision}",
                    revision=revision,
                    since=served["since"],
                    until=served["until"],
                )
                graph.edge(key, effect)


def _short(part: str) -> str:
    return part.partition(":")[2][:8] if ":" in part else part
