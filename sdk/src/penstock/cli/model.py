"""`penstock model`: lineage, promote."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from penstock.cli.output import Cell, emit_json, table
from penstock.cli.session import (
    JsonOption,
    NamespaceOption,
    TimeoutOption,
    WaitOption,
    asked,
    connect,
)
from penstock.cli.wording import clean, short_id

ModelArgument = Annotated[str, typer.Argument(help="The model.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("lineage")(lineage)
    app.command("promote")(promote)


def lineage(
    name: ModelArgument, namespace: NamespaceOption = None, json_output: JsonOption = False
) -> None:
    """Show what a model was made from, and where it went."""
    with connect(namespace) as client:
        found = client.model.lineage(name)
    if json_output:
        emit_json(found)
        return
    nodes = {str(node["id"]): node for node in found["nodes"]}
    leads_to: dict[str, list[str]] = {id: [] for id in nodes}
    for start, end in found["edges"]:
        leads_to[str(start)].append(str(end))
    rows = [
        [
            Cell(str(node["noun"])),
            Cell(_name(node)),
            Cell(", ".join(f"{nodes[end]['noun']} {_name(nodes[end])}" for end in leads_to[id])),
        ]
        for id, node in nodes.items()
    ]
    table(["noun", "which", "led to"], rows)


def promote(
    name: ModelArgument,
    version: Annotated[int, typer.Argument(min=1, help="The number of the version.")],
    alias: Annotated[str, typer.Option(help="What it shall be called.")] = "champion",
    wait: WaitOption = False,
    timeout: TimeoutOption = None,
    namespace: NamespaceOption = None,
    json_output: JsonOption = False,
) -> None:
    """Give an alias to a version, without a gate."""
    with connect(namespace) as client:
        wish = client.model.promote(name, version, alias=alias)
        asked(client, wish, json_output, wait, timeout)


def _name(node: dict[str, Any]) -> str:
    return clean(str(node.get("label") or short_id(str(node["id"]))))
