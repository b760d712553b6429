"""`penstock projection`: status, rebuild."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import typer

from penstock.cli.output import Cell, emit_json, now, say, table
from penstock.cli.session import EXIT_FAILED, JsonOption, connect, duration
from penstock.cli.wording import ABSENT, ago, value

WITHIN_SECONDS = 3600.0


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for function in (status, rebuild):
        app.command(function.__name__)(function)


def status(json_output: JsonOption = False) -> None:
    """Show how far each projection is behind the log, and what it holds."""
    with connect() as client:
        found = client.projection.list()
    if json_output:
        emit_json({"items": found})
        return
    table(
        ["name", "status", "position", "lag", "rows", "newest"],
        [
            [
                Cell(value(one["name"])),
                Cell(value(one["status"]), one["status"]),
                Cell(value(one["position"]), number=True),
                Cell(value(one["lag"]), number=True),
                Cell(value(one["rows"]), number=True),
                Cell(ago(datetime.fromisoformat(one["time"]), now()) if one["time"] else ABSENT),
            ]
            for one in found
        ],
    )


def rebuild(
    timeout: Annotated[
        str | None, typer.Option("--timeout", help="Wait no longer than this. [default: 1h]")
    ] = None,
    json_output: JsonOption = False,
) -> None:
    """Make all rows once more from the log, compare, and show the rebuilt ones.

    Exit status 1 where anything differed.
    """
    seconds = duration(timeout) or WITHIN_SECONDS
    with connect() as client:
        done = client.projection.rebuild(seconds)
    if json_output:
        emit_json(done)
    elif done["equal"]:
        say(
            f"equal: {done['rows']} rows from {done['events']} events up to "
            f"{done['position']}, in {done['seconds']:.1f} s"
        )
    else:
        _tell(done)
    if not done["equal"]:
        raise typer.Exit(EXIT_FAILED)


def _tell(done: dict[str, Any]) -> None:
    table(
        ["row", "column", "live", "rebuilt"],
        [
            [
                Cell(f"{one['namespace']}/{one['noun']}/{one['id']}"),
                Cell(value(column["column"])),
                Cell(value(column["live"])),
                Cell(value(column["rebuilt"])),
            ]
            for one in done["differences"]
            for column in one["columns"]
            or [{"column": one["problem"], "live": None, "rebuilt": None}]
        ],
    )
    say(
        f"{done['different_rows']} of {done['rows']} rows differed, and "
        f"{done['different_events']} events in the index; the rebuilt ones are shown now"
    )
