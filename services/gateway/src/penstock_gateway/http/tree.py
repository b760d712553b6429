"""A story as a tree of causes: pure."""

from collections.abc import Sequence
from typing import Any

DEPTH_MAX = 100
"""Deeper descendants hang on the ancestor at this depth: writers of JSON have their limits."""


def tree_of(story: Sequence[dict[str, Any]], asked: int) -> dict[str, Any]:
    """The events of a story (in the log's order) below its root, the asked one marked.

    What names no cause in the story hangs on the root.
    """
    nodes: dict[str, dict[str, Any]] = {}
    depths: dict[str, int] = {}
    parents: dict[str, str] = {}
    root: dict[str, Any] | None = None
    for event in story:
        node: dict[str, Any] = {"event": event, "children": []}
        if event["sequence"] == asked:
            node["asked"] = True
        id = event["id"]
        if id in nodes:
            continue  # an id used twice: the first is the one that others name
        if root is None:
            root, depths[id] = node, 0
        else:
            parent = event["causation_id"]
            if parent not in nodes:
                parent = root["event"]["id"]
            while depths[parent] >= DEPTH_MAX:
                parent = parents[parent]
            nodes[parent]["children"].append(node)
            depths[id], parents[id] = depths[parent] + 1, parent
        nodes[id] = node
    assert root is not None, "a story holds at least the event that was asked for"
    return root
