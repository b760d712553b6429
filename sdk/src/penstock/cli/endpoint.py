"""`penstock endpoint predict`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from penstock.cli.output import Cell, emit_json, say, table
from penstock.cli.session import JsonOption, NamespaceOption, connect, usage
from penstock.cli.wording import value


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("predict")(predict)


def predict(
    name: Annotated[str, typer.Argument(help="The endpoint.")],
    data: Annotated[
        str,
        typer.Argument(
            help="JSON: a row, a list of rows, or columns; @FILE, or - for standard input."
        ),
    ],
    namespace: NamespaceOption = None,
    json_output: JsonOption = False,
) -> None:
    """Ask an endpoint about rows (Open Inference Protocol v2)."""
    columns = _columns(data)
    with connect(namespace) as client:
        answer = client.endpoint.predict(name, columns)
    if json_output:
        version = {"model": answer.model, "model_version": answer.model_version}
        emit_json({**version, "outputs": dict(answer)})
        return
    rows = zip(*answer.values(), strict=True)
    table(list(answer), [[Cell(value(one), number=True) for one in row] for row in rows])
    say(f"by {answer.model} version {answer.model_version}")


def _columns(text: str) -> dict[str, list[Any]]:
    if text == "-":
        text = sys.stdin.read()
    elif text.startswith("@"):
        try:
            text = Path(text[1:]).read_text(encoding="utf-8")
        except OSError as error:
            usage(f"{text[1:]} cannot be read: {error.strerror}")
    try:
        found = json.loads(text)
    except ValueError as error:
        usage(f"the data is not JSON: {error}")
    rows = found if isinstance(found, list) else [found]
    if not rows or not all(isinstance(row, dict) for row in rows):
        usage("the data is neither an object nor a list of objects")
    if isinstance(found, dict) and all(isinstance(one, list) for one in found.values()):
        return found
    return {name: [row.get(name) for row in rows] for name in rows[0]}
