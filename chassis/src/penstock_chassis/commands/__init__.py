"""The commands that the chassis adds to `penstock`: the platform itself and its services.

This module is imported by every `penstock` command, so it imports nothing heavy: each command
imports what it needs when it runs.
"""

import json
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_NOT_FOUND = 3

DataDirOption = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", help="Where the platform keeps its state.", envvar="PENSTOCK_DATA_DIR"
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON to standard output.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    from penstock_chassis.commands import doctor, platform, service  # noqa: PLC0415 - light modules

    app.command("up", help="Run the whole platform on this machine.")(platform.up)
    app.command("down", help="Stop the platform of a data directory.")(platform.down)
    app.command("status", help="Say what runs, where, and whether it is well.")(platform.status)
    app.command("doctor", help="Say what is wrong with a set-up and how to mend it.")(doctor.doctor)
    group = typer.Typer(no_args_is_help=True, help="Run and list services.")
    group.command("run", help="Run one service against any NATS.")(service.run)
    group.command("ls", help="List the installed services.")(service.ls)
    app.add_typer(group, name="service")


def say(text: str) -> None:
    """Talk, as opposed to data: to standard error."""
    sys.stderr.write(text + "\n")


def emit(data: Any) -> None:
    """Data: one JSON document to standard output."""
    sys.stdout.write(json.dumps(data, default=str) + "\n")


def fail(message: str, hint: str = "", code: int = EXIT_FAILED) -> NoReturn:
    """End with an error that says what to do next."""
    say(f"error: {message}")
    if hint:
        say(f"hint: {hint}")
    raise typer.Exit(code)
