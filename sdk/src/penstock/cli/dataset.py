"""`penstock dataset register`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from penstock.cli.session import (
    JsonOption,
    NamespaceOption,
    TimeoutOption,
    WaitOption,
    asked,
    connect,
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("register")(register_version)


def register_version(
    name: Annotated[str, typer.Argument(help="The dataset.")],
    paths: Annotated[list[Path], typer.Argument(help="A folder, or files.")],
    parent: Annotated[
        str | None, typer.Option(help="The digest of the version that it was made from.")
    ] = None,
    wait: WaitOption = False,
    timeout: TimeoutOption = None,
    namespace: NamespaceOption = None,
    json_output: JsonOption = False,
) -> None:
    """Upload files as a new version of a dataset; `--wait` until it is profiled."""
    from penstock.client.files import named_files  # noqa: PLC0415

    source = paths[0] if len(paths) == 1 else paths
    total = sum(path.stat().st_size for path in named_files(source).values())
    with connect(namespace) as client:
        with uploading(total) as progress:
            wish = client.dataset.register(name, source, parent=parent, progress=progress)
        asked(client, wish, json_output, wait, timeout)


@contextmanager
def uploading(total_bytes: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on standard error, where that is a terminal; gives what to tell the bytes."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn  # noqa: PLC0415

    columns = ("uploading", BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total_bytes)
        yield lambda sent: bar.advance(task, sent)
