"""`penstock source declare`."""

from __future__ import annotations

from typing import Annotated

import typer

from penstock.cli.session import (
    JsonOption,
    NamespaceOption,
    TimeoutOption,
    WaitOption,
    asked,
    connect,
    pairs,
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("declare")(declare)


def declare(
    name: Annotated[str, typer.Argument(help="The source.")],
    scheme: Annotated[
        str, typer.Option(help="How deliveries are verified: standard, github, hmac, …")
    ],
    secret: Annotated[
        list[str] | None,
        typer.Option(help="A secret that opens; repeatable. [default: the source's name]"),
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE for the scheme; repeatable.")
    ] = None,
    tolerance: Annotated[
        float, typer.Option(help="Seconds that a signed time may be from ours.")
    ] = 300.0,
    paused: Annotated[bool, typer.Option("--paused", help="Set up, but takes nothing.")] = False,
    namespace: NamespaceOption = None,
    wait: WaitOption = False,
    timeout: TimeoutOption = None,
    json_output: JsonOption = False,
) -> None:
    """Say who may send webhooks to /v1/webhooks/NAMESPACE/NAME; again, it replaces what stood."""
    with connect(namespace) as client:
        wish = client.source.declare(
            name,
            scheme,
            secret or (),
            options=pairs(option or [], "--option"),
            tolerance_seconds=tolerance,
            paused=paused,
        )
        asked(client, wish, json_output, wait, timeout)
