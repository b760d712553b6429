"""`penstock deadletter`: ls, show, retry, drop."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Annotated

import typer

from penstock.cli.output import Cell, emit_json, fields, now, say, table, write
from penstock.cli.session import (
    JsonOption,
    NoInputOption,
    connect,
    done,
    usage,
)
from penstock.cli.wording import ago, value

PositionArgument = Annotated[int, typer.Argument(help="Its position, as ls shows it.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for function in (ls, show, retry, drop):
        app.command(function.__name__)(function)


def ls(json_output: JsonOption = False) -> None:
    """List the messages that no try could handle, oldest first."""
    with connect() as client:
        letters = client.deadletter.list()
    if json_output:
        emit_json({"items": letters})
    elif letters:
        headers = ["position", "service", "subject", "tries", "age", "reason"]
        table(
            headers,
            [
                [
                    Cell(str(letter["position"]), number=True),
                    Cell(value(letter.get("service"))),
                    Cell(value(letter.get("subject"))),
                    Cell(value(letter.get("deliveries")), number=True),
                    Cell(ago(datetime.fromisoformat(letter["time"]), now())),
                    Cell(value(letter.get("reason")), "failed"),
                ]
                for letter in letters
            ],
        )
    else:
        say("no dead letters: everything was handled")


def show(position: PositionArgument, json_output: JsonOption = False) -> None:
    """Show one: why it died, its traceback and its payload."""
    with connect() as client:
        letter = client.deadletter.get(position)
    if json_output:
        emit_json(letter)
        return
    long = ("traceback", "payload")
    fields({name: Cell(value(one)) for name, one in letter.items() if name not in long})
    for name in long:
        if letter.get(name):
            write(f"\n{name}:\n{letter[name]}")
    say(f"penstock deadletter retry {position}, or drop {position}")


def retry(position: PositionArgument, json_output: JsonOption = False) -> None:
    """Append the message again and drop the letter."""
    with connect() as client:
        told = client.deadletter.retry(position)
    done(f"appended again; dead letter {position} is gone", json_output, told)


def drop(
    position: PositionArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    no_input: NoInputOption = False,
    json_output: JsonOption = False,
) -> None:
    """Throw one away."""
    with connect() as client:
        letter = client.deadletter.get(position)
        if not yes:
            if no_input or not sys.stdin.isatty():
                usage("this cannot be undone", f"penstock deadletter drop {position} --yes")
            say(f"{letter['subject']}: {letter['reason']}")
            typer.confirm("throw it away?", abort=True, err=True)
        client.deadletter.drop(position)
    done(f"dropped dead letter {position}", json_output, {"dropped": position})
