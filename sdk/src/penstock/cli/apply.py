"""`penstock apply`, `get` and `schema`: things declared in files."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from penstock.cli.output import emit_json, say, write
from penstock.cli.reading import STDIN, read
from penstock.cli.session import (
    EXIT_REFUSED,
    EXIT_USAGE,
    AtOption,
    JsonOption,
    NamespaceOption,
    NoInputOption,
    TimeoutOption,
    WaitOption,
    connect,
    duration,
    moment,
    usage,
)
from penstock.cli.wording import clean

if TYPE_CHECKING:
    from penstock.client import Change, Client, Fault

VALUE_LENGTH_MAX = 200
"""Characters of one value in a difference; `--json` cuts nothing."""
_MARKS = {"create": "+", "change": "~", "upload": "?", "unchanged": "="}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for function in (apply, get, schema):
        app.command(function.__name__)(function)


def apply(
    files: Annotated[
        list[str],
        typer.Option("--file", "-f", help="A file, a folder, or - for standard input; repeatable."),
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would change; send nothing.")
    ] = False,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Apply what is valid beside what is not.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    no_input: NoInputOption = False,
    wait: WaitOption = False,
    timeout: TimeoutOption = None,
    namespace: NamespaceOption = None,
    json_output: JsonOption = False,
) -> None:
    """Declare what files say: shows what differs, asks, and sends nothing that is so already."""
    from penstock.client import InvalidDocuments  # noqa: PLC0415

    declarations, faults = read(files)
    if faults and not keep_going:
        if not json_output:
            say(f"hint: nothing was changed; --keep-going applies the {len(declarations)} valid")
        else:
            emit_json({"items": [], "faults": [fault._asdict() for fault in faults]})
        raise typer.Exit(EXIT_USAGE)
    with connect(namespace) as client:
        try:
            changes = client.diff(declarations, upload=not dry_run)
        except InvalidDocuments as error:  # the same thing twice, through a namespace
            usage(str(error))
        tell: Callable[[str], None] = write if dry_run and not json_output else say
        for change in changes:
            _show(change, tell)
        pending = [change for change in changes if change.action != "unchanged"]
        if pending and not dry_run:
            _confirm(len(pending), yes, no_input or STDIN in files)
            changes = client.apply(changes)
            if wait:
                changes = [_ended(change, duration(timeout)) for change in changes]
    _report(changes, faults, dry_run, json_output)


def get(
    kind: Annotated[str, typer.Argument(help="A kind, e.g. queue.")],
    name: Annotated[str | None, typer.Argument(help="Its name; all, where none is given.")] = None,
    output: Annotated[
        Literal["yaml", "json"], typer.Option("--output", "-o", help="How it is written.")
    ] = "yaml",
    at: AtOption = None,
    namespace: NamespaceOption = None,
) -> None:
    """Print what is declared, as `penstock apply` takes it; applying it again changes nothing."""
    from penstock_schemas import UnknownKind, kind_class  # noqa: PLC0415

    try:
        kind_class(kind)
    except UnknownKind as error:
        usage(str(error))
    with connect(namespace) as client:
        names = [name] if name is not None else _names(client, kind, moment(at))
        documents = [_document(client, kind, one, moment(at), name is None) for one in names]
    found = [document for document in documents if document is not None]
    if output == "json":
        emit_json(found[0] if name is not None else {"items": found})
        return
    from penstock.client.yaml_nodes import write_yaml  # noqa: PLC0415

    sys.stdout.write("---\n".join(map(write_yaml, found)))
    if not found:
        say(f"no {kind} is declared")


def schema(
    kind: Annotated[
        str | None, typer.Argument(help="A kind, e.g. queue; without it, all are listed.")
    ] = None,
) -> None:
    """Print the JSON Schema of a kind's documents, from which editors complete."""
    from penstock_schemas import UnknownKind, kind_class, kinds  # noqa: PLC0415
    from penstock_schemas.catalog.kinds import kind_schema  # noqa: PLC0415

    if kind is None:
        for one in kinds():
            write(one)
        return
    try:
        write(json.dumps(kind_schema(kind_class(kind)), indent=2, ensure_ascii=False))
    except UnknownKind as error:
        usage(str(error))


def _show(change: Change, tell: Callable[[str], None]) -> None:
    what = f"{change.declaration.kind}/{change.declaration.name}"
    tell(f"{_MARKS[change.action]} {change.namespace} {what}  {change.action}")
    if change.refusal:
        tell("    " + clean(f"what was asked for last was refused: {change.refusal}"))
    for one in change.differences():
        after = _short(one.after)
        shown = f"{_short(one.before)} -> {after}" if change.before is not None else after
        tell("    " + clean(f"{one.field}: {shown}"))
    for upload in change.declaration.uploads:
        tell("    " + clean(f"{'.'.join(map(str, upload.path))}: would upload {upload.source}"))


def _short(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = "(none)" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= VALUE_LENGTH_MAX else text[: VALUE_LENGTH_MAX - 1] + "…"


def _confirm(count: int, yes: bool, no_input: bool) -> None:
    if yes:
        return
    if no_input or not sys.stdin.isatty():
        usage(f"this changes {count} things and nobody can be asked", "penstock apply … --yes")
    typer.confirm(f"apply {count} changes?", abort=True, err=True)


def _ended(change: Change, timeout_seconds: float | None) -> Change:
    """The change once its service has answered; a refusal is its problem."""
    from penstock.client.endings import WAITABLE  # noqa: PLC0415

    sent, kind = change.published, change.declaration.kind
    if sent is None or kind not in WAITABLE:
        return change
    with connect(change.namespace) as client:
        end = client.things(kind).wait(
            change.declaration.name, after=sent.sequence, timeout_seconds=timeout_seconds
        )
    say(f"{kind} {change.declaration.name}: {end.event.verb}")
    return change if end.ok else replace(change, problem=f"{end.event.type}: {end.reason}")


def _report(
    changes: Sequence[Change], faults: Sequence[Fault], dry_run: bool, json_output: bool
) -> None:
    if json_output:
        items = [change.document() for change in changes]
        emit_json({"items": items, "faults": [one._asdict() for one in faults]})
    refused = [change for change in changes if change.problem]
    for change in refused:
        what = f"{change.declaration.kind} {change.declaration.name}"
        say(f"error: {what}: {change.problem}")
    sent = [change for change in changes if change.published is not None]
    if not json_output and not dry_run:
        for change in sent:
            write(f"{change.declaration.kind}/{change.declaration.name}")
    same = sum(change.action == "unchanged" for change in changes)
    say(f"{len(sent)} applied, {same} unchanged, {len(refused) + len(faults)} refused")
    if refused:
        raise typer.Exit(EXIT_REFUSED)
    if faults:
        raise typer.Exit(EXIT_USAGE)


def _names(client: Client, kind: str, at: str | None) -> list[str]:
    return sorted(row.id for row in client.things(kind).list(at=at))


def _document(
    client: Client, kind: str, name: str, at: str | None, or_none: bool
) -> dict[str, Any] | None:
    from penstock.client import NotFound  # noqa: PLC0415
    from penstock_schemas import document_of, kind_class  # noqa: PLC0415

    try:
        found = client.things(kind).declared(name, at=at)
    except NotFound:
        if or_none:
            return None  # it came about otherwise, or every wish for it was refused
        raise
    cls = kind_class(kind)
    return document_of(cls.model_validate({cls.key: name, **found["fields"]}))
