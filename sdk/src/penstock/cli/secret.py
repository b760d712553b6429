"""`penstock secret set` and `rm`. Values come from standard input or a prompt, never from the
command line: other users of the machine can read that, and shells remember it."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from penstock.cli.session import JsonOption, NamespaceOption, NoInputOption, connect, done, usage

NameArgument = Annotated[str, typer.Argument(help="The secret.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("set")(set_)
    app.command("rm")(rm)


def set_(
    name: NameArgument,
    keep: Annotated[
        bool, typer.Option("--keep", help="The former values open, too, until the next set.")
    ] = False,
    namespace: NamespaceOption = None,
    no_input: NoInputOption = False,
    json_output: JsonOption = False,
) -> None:
    """Set a secret's value, read from standard input, or asked for without showing it."""
    value = _value(name, no_input)
    with connect(namespace) as client:
        told = client.secret.set(name, value, keep=keep)
    said = f"set secret {name}: fingerprint {told['fingerprint']}, {told['values']} open"
    done(said, json_output, told)


def rm(
    name: NameArgument,
    namespace: NamespaceOption = None,
    json_output: JsonOption = False,
) -> None:
    """Remove a secret with all its values."""
    with connect(namespace) as client:
        client.secret.delete(name)
    done(f"removed secret {name}", json_output, {"deleted": name})


def _value(name: str, no_input: bool) -> str:
    """The value; the newline that `echo` and editors add at the end is none of it."""
    if not sys.stdin.isatty():
        value = sys.stdin.read().removesuffix("\n").removesuffix("\r")
    elif no_input:
        usage("the value comes from standard input", f"penstock secret set {name} < FILE")
    else:
        value = typer.prompt(
            f"value of {name}", hide_input=True, confirmation_prompt=True, err=True
        )
    if not value:
        usage("the value is empty", f"penstock secret set {name} < FILE")
    return value
