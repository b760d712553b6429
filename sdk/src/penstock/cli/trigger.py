"""`penstock trigger`: apply, pause, resume, fire, delete, dry-run, backtest, explain."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.cli.output import Cell, emit_json, fields, say, table, write
from penstock.cli.reading import read
from penstock.cli.session import (
    EXIT_USAGE,
    JsonOption,
    NamespaceOption,
    asked,
    connect,
    done,
    moment,
    usage,
)
from penstock.cli.wording import clock, value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from penstock.client import Declaration

NameArgument = Annotated[str, typer.Argument(help="Its name.")]
FileOption = Annotated[
    str | None,
    typer.Option("--file", "-f", help="Its document, as of `penstock apply`; - is standard input."),
]
FIRINGS_SHOWN_MAX = 20


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for function in (apply, pause, resume, fire, delete, backtest, explain):
        app.command(function.__name__)(function)
    app.command("dry-run")(dry_run)


def apply(
    file: FileOption = None, namespace: NamespaceOption = None, json_output: JsonOption = False
) -> None:
    """Declare the triggers of a file, each in place of the one of its name."""
    wishes = []
    for one in _declared(file):
        with connect(one.namespace or namespace) as client:
            wishes.append(client.trigger.apply(_definition(one)))
    if json_output:
        emit_json({"items": [wish._asdict() for wish in wishes]})
        return
    for wish in wishes:
        sys.stdout.write(f"{wish.id}\n")
        say(f"declared; try it: penstock trigger backtest {wish.id}")


def pause(
    name: NameArgument,
    reason: Annotated[str, typer.Option(help="Why, for others.")] = "",
    namespace: NamespaceOption = None,
    json_output: JsonOption = False,
) -> None:
    """Judge nothing that comes from here on; what was gathered is dropped."""
    with connect(namespace) as client:
        asked(client, client.trigger.pause(name, reason=reason), json_output, False, None)


def resume(
    name: NameArgument, namespace: NamespaceOption = None, json_output: JsonOption = False
) -> None:
    """Judge again what comes from here on."""
    with connect(namespace) as client:
        asked(client, client.trigger.resume(name), json_output, False, None)


def fire(
    name: NameArgument,
    data: Annotated[str, typer.Option(help="What `event` is in its expressions, JSON.")] = "{}",
    namespace: NamespaceOption = None,
    json_output: JsonOption = False,
) -> None:
    """Fire now, once, whatever its condition, its timing and a pause say."""
    with connect(namespace) as client:
        asked(client, client.trigger.fire(name, _object(data, "--data")), json_output, False, None)


def delete(
    name: NameArgument,
    reason: Annotated[str, typer.Option(help="Why, for others.")] = "",
    if_match: Annotated[
        int | None,
        typer.Option(help="Only where its declaration has not changed since this sequence."),
    ] = None,
    namespace: NamespaceOption = None,
    json_output: JsonOption = False,
) -> None:
    """Delete it with all that it had not fired yet; applied again, it begins anew."""
    with connect(namespace) as client:
        told = client.trigger.delete(name, reason=reason, if_match=if_match)
    done(f"deleted trigger {name}", json_output, {"deleted": name, **told._asdict()})


def dry_run(
    name: Annotated[str | None, typer.Argument(help="Its name, where no file says it.")] = None,
    event: Annotated[
        str | None, typer.Option("--event", help="The sequence or id of a recorded event.")
    ] = None,
    type: Annotated[
        str | None, typer.Option("--type", help="Or the type of one that did not happen,")
    ] = None,
    data: Annotated[str | None, typer.Option(help="and its data, JSON [its example].")] = None,
    file: FileOption = None,
    namespace: NamespaceOption = None,
    json_output: JsonOption = False,
) -> None:
    """Show what one event would make it ask for. Its timing is left aside; nothing is appended."""
    definition, name, namespace = _chosen(file, name, namespace)
    if (event is None) == (type is None):
        usage("name one event", "--event 1207, or --type dataset.registered")
    made: dict[str, Any] = {"type": type}
    if data is not None:
        made["data"] = _object(data, "--data")
    with connect(namespace) as client:
        found = client.trigger.dry_run(name, event or made, definition=definition)
    if json_output:
        emit_json(found)
        return
    write("fires" if found["fires"] else "does not fire")
    say(found["reason"])
    if found["produces"]:
        write(f"{found['produces']['type']} {found['produces']['id']}")
        write(json.dumps(found["produces"]["data"], indent=2))


def backtest(
    name: Annotated[str | None, typer.Argument(help="Its name, where no file says it.")] = None,
    since: Annotated[
        str | None, typer.Option(help="From then on: a time, or 7d for a week ago [all].")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Until then [now].")] = None,
    run_seconds: Annotated[
        float | None, typer.Option(help="How long its runs are taken to last, for concurrency.")
    ] = None,
    file: FileOption = None,
    namespace: NamespaceOption = None,
    json_output: JsonOption = False,
) -> None:
    """Run it over the recorded log: what it would have fired, beside what did happen."""
    definition, name, namespace = _chosen(file, name, namespace)
    with connect(namespace) as client:
        found = client.trigger.backtest(
            name,
            since=moment(since),
            until=moment(until),
            definition=definition,
            run_seconds=run_seconds,
        )
    if json_output:
        emit_json(found)
        return
    _show_backtest(found)


def explain(
    event: Annotated[str, typer.Argument(help="The sequence or the id of an event.")],
    namespace: NamespaceOption = None,
    json_output: JsonOption = False,
) -> None:
    """Say for each trigger why it did or did not fire for an event."""
    with connect(namespace) as client:
        items = client.trigger.explain(event)
    if json_output:
        emit_json({"items": items})
    elif items:
        rows = [
            [
                Cell(item["trigger"]),
                Cell("yes" if item["fired"] else "no", "succeeded" if item["fired"] else ""),
                Cell("; ".join(item["why"])),
            ]
            for item in items
        ]
        table(["trigger", "fired", "why"], rows)
    else:
        say("there was no trigger")


def _show_backtest(found: Mapping[str, Any]) -> None:
    difference = found["difference"]
    fields(
        {
            "from": Cell(value(found["since"])),
            "until": Cell(value(found["until"])),
            "events judged": Cell(value(found["events"])),
            "would fire": Cell(value(found["would_fire"])),
            "would skip": Cell(value(found["would_skip"])),
            "would refuse": Cell(value(found["would_refuse"])),
            "did fire": Cell(value(found["did_fire"])),
            "both": Cell(value(difference["both"])),
            "only would": Cell(value(difference["only_would"])),
            "only did": Cell(value(difference["only_did"])),
        }
    )
    shown = found["firings"][:FIRINGS_SHOWN_MAX]
    if shown:
        write("")
        table(["due", "outcome", "for", "events", "asks for", "did"], [_firing(f) for f in shown])
    if len(found["firings"]) > len(shown):
        say(f"the first {len(shown)}; --json has {len(found['firings'])}")


def _firing(found: Mapping[str, Any]) -> list[Cell]:
    from penstock.client.records import read_time  # noqa: PLC0415

    due = read_time(found["due"])
    asks = found.get("produces")
    what = f"{asks['type']} {asks['id']}" if asks else found.get("reason", "")
    did = {True: "yes", False: "no", None: ""}[found.get("did_happen")]
    cause = found.get("planned") or f"{found['cause_type']} {found.get('cause_sequence') or ''}"
    return [
        Cell(clock(due, due) if due else ""),
        Cell(found["outcome"], "failed" if found["outcome"] == "refused" else ""),
        Cell(cause.strip()),
        Cell(str(found["count"]), number=True),
        Cell(what),
        Cell(did),
    ]


def _chosen(
    file: str | None, name: str | None, namespace: str | None
) -> tuple[dict[str, Any] | None, str, str | None]:
    """A definition from a file, the name of the trigger that is meant, and its namespace."""
    if file is None:
        if name is None:
            usage("name the trigger, or give its definition", "-f retrain.yaml")
        return None, name, namespace
    fitting = [one for one in _declared(file) if name is None or one.name == name]
    if len(fitting) != 1:
        usage(f"{file} has {len(fitting)} fitting triggers", "name one of them")
    [one] = fitting
    return _definition(one), one.name, one.namespace or namespace


def _definition(declared: Declaration) -> dict[str, Any]:
    """What the file says, by the fields of `trigger.requested`."""
    return declared.event.model_dump(mode="json", exclude_defaults=True)


def _declared(file: str | None) -> list[Declaration]:
    """The triggers of a file, in the form of `penstock apply`."""
    if file is None:
        usage("give the definition", "-f retrain.yaml")
    found, faults = read([file])
    for one in found:
        if one.kind != "trigger":
            usage(
                f"{one.file}:{one.line}: a {one.kind}, no trigger", "penstock apply takes all kinds"
            )
    if faults:
        raise typer.Exit(EXIT_USAGE)
    if not found:
        usage(f"{file} holds no trigger", "kind: trigger")
    return found


def _object(text: str, option: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        usage(f"{option} is not JSON: {error}")
    if not isinstance(found, dict):
        usage(f"{option} is not a JSON object")
    return found
