"""`penstock credential export`: the accounts of namespaces, for servers of one's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from penstock.cli.output import emit_json, say, write
from penstock.cli.session import JsonOption, connect, usage

HEAD = """\
# The accounts of Penstock's namespaces, made by `penstock credential export nats`.
# Include it in nats-server.conf, and reload the server twice (docs/deploying.md).
"""


def export(
    server: Annotated[
        Literal["nats", "seaweedfs", "iam"],
        typer.Argument(help="nats, seaweedfs (with secret keys), or iam: policies for MinIO, AWS."),
    ],
    to: Annotated[
        Path | None,
        typer.Option(help="A file, mode 0600; for iam a folder, one file a policy. [default: -]"),
    ] = None,
    helm: Annotated[
        bool, typer.Option("--helm", help="Of nats: as values of the NATS chart.")
    ] = False,
    json_output: JsonOption = False,
) -> None:
    """Write the accounts of all namespaces, for servers that the platform did not start.

    The embedded servers follow by themselves. Export again whenever a credential changes.
    """
    if helm and server != "nats":
        usage(f"there is no chart of {server}", "penstock credential export nats --helm")
    with connect() as client:
        found = client.credential.export(server)
    if json_output:
        emit_json(found)
    elif server == "iam" and to is not None:
        for name, policy in found["policies"].items():
            _write(to / f"{name}.json", _json(policy))
    elif to is not None:
        _write(to, _text(server, found, helm))
    else:
        write(_text(server, found, helm).rstrip("\n"))


def _text(server: str, found: dict[str, Any], helm: bool) -> str:
    if helm:
        from penstock.client.yaml_nodes import write_yaml  # noqa: PLC0415

        return HEAD.splitlines()[0] + "\n" + write_yaml({"config": {"merge": found}})
    if server == "nats":
        # JSON is what nats-server reads, too, but for the outermost braces of an included file.
        return HEAD + f"accounts: {_json(found['accounts'])}"
    return _json(found)


def _json(found: Any) -> str:
    return json.dumps(found, indent=2) + "\n"


def _write(path: Path, text: str) -> None:
    from penstock.client.credentials import write_private  # noqa: PLC0415

    if path.is_file() and path.read_text(encoding="utf-8") == text:
        say(f"unchanged: {path}")
        return
    write_private(path, text)
    say(f"written: {path}")
