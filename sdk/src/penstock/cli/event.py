"""`penstock event`: tail, ls, show, tree, replay, publish, watch."""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.cli.output import (
    Cell,
    emit_json,
    event_line,
    fields,
    say,
    write,
    write_event,
)
from penstock.cli.session import (
    JsonOption,
    NamespaceOption,
    TimeoutOption,
    connect,
    duration,
    moment,
    usage,
)
from penstock.cli.wording import value

if TYPE_CHECKING:
    from collections.abc import Iterable

    from penstock.client import Client, RecordedEvent

LISTED_EVENTS = 50
REPLAY_GAP_SECONDS_MAX = 3.0
"""The longest pause of a replay, after scaling: a night between two events is no one's interest."""

TypeOption = Annotated[
    list[str] | None,
    typer.Option("--type", "-t", help="Only these, e.g. model.promoted, job.*; repeatable."),
]
IdOption = Annotated[str | None, typer.Option("--id", help="Only those about this thing.")]
SinceOption = Annotated[
    str | None, typer.Option("--since", help="From then on: 10m, or 2026-11-24T10:00:00Z.")
]
EventArgument = Annotated[
    str, typer.Argument(help="An event's id or sequence, or the id of a thing.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for function in (tail, ls, show, tree, replay, publish, watch):
        app.command(function.__name__)(function)


def tail(
    type: TypeOption = None,
    id: IdOption = None,
    since: SinceOption = None,
    namespace: NamespaceOption = None,
    json_output: JsonOption = False,
) -> None:
    """Follow the log live, one line an event, until Ctrl-C."""
    with connect(namespace or "-") as client:
        after = None if since is None else _before(client, moment(since))
        if after is None:
            say("following the log; Ctrl-C ends it")
        for event in client.subscribe(*(type or ()), id=_whole(client, id), after=after):
            write_event(event, json_output)


def ls(
    type: TypeOption = None,
    id: IdOption = None,
    since: SinceOption = None,
    limit: Annotated[int, typer.Option(min=1, help="The last so many.")] = LISTED_EVENTS,
    namespace: NamespaceOption = None,
    json_output: JsonOption = False,
) -> None:
    """List the last events, the newest at the end."""
    with connect(namespace) as client:
        after = None
        if not (type or id or since):  # no need to read what would not be shown
            after = max(0, int(client.platform()["position"]) - _window(client, limit))
        events = client.event.list(
            *(type or ()), id=_whole(client, id), since=moment(since), after=after
        )
        last: deque[RecordedEvent] = deque(events, maxlen=limit)
    if json_output:
        emit_json({"items": [event.raw for event in last], "position": events.position})
        return
    for event in last:
        write_event(event, as_json=False)
    if not last:
        say("no events match" if type or id or since else "no events yet: penstock job run …")


def show(
    id: EventArgument, namespace: NamespaceOption = None, json_output: JsonOption = False
) -> None:
    """Show one event with its envelope and its data."""
    with connect(namespace or "-") as client:
        event = client.event.find(id)
    if json_output:
        emit_json(event.raw)
        return
    envelope = {name: found for name, found in event.raw.items() if name != "data"}
    fields(
        {
            name: Cell(value(found), event.verb if name == "type" else "")
            for name, found in envelope.items()
        }
    )
    write(json.dumps(event.payload, indent=2, default=str))
    say(f"what led to it and what it led to: penstock event tree {event.sequence}")


def tree(
    id: EventArgument, namespace: NamespaceOption = None, json_output: JsonOption = False
) -> None:
    """Draw what led to an event and what came of it, from the first cause on."""
    with connect(namespace or "-") as client:
        event = client.event.find(id)
        found = client.event.tree(event.id)
    if json_output:
        emit_json(found)
        return
    from rich.console import Console  # noqa: PLC0415

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 10_000)
    console.print(_drawn(found, event.id))


def replay(
    type: TypeOption = None,
    id: IdOption = None,
    since: SinceOption = None,
    speed: Annotated[
        float, typer.Option(min=0, help="Times faster than it happened; 0: without pauses.")
    ] = 10.0,
    namespace: NamespaceOption = None,
    json_output: JsonOption = False,
) -> None:
    """Print recorded events in order, with the pauses that lay between them, scaled."""
    with connect(namespace or "-") as client:
        before: RecordedEvent | None = None
        for event in client.event.list(*(type or ()), id=_whole(client, id), since=moment(since)):
            if before is not None and speed:
                gap = (event.time - before.time).total_seconds() / speed
                time.sleep(min(max(gap, 0.0), REPLAY_GAP_SECONDS_MAX))
            write_event(event, json_output)
            before = event
    if before is None:
        say("no events match")


def publish(
    type: Annotated[str, typer.Argument(help="The type, e.g. job.requested.")],
    data: Annotated[
        str, typer.Argument(help="Its data: JSON, @FILE, or - for standard input.")
    ] = "{}",
    key: Annotated[
        str | None, typer.Option("--key", help="Idempotency key: the same one acts once.")
    ] = None,
    namespace: NamespaceOption = None,
    json_output: JsonOption = False,
) -> None:
    """Append an event; done once it is durable in the log."""
    with connect(namespace) as client:
        done = client.event.publish(type, _json_object(data), id=key)
    if json_output:
        emit_json(done._asdict())
        return
    write(done.id)
    said = "was there before" if done.duplicate else "is durable"
    say(f"{type} {said}, sequence {done.sequence}; penstock event tree {done.sequence}")


def watch(
    type: Annotated[list[str], typer.Argument(help="Types to wait for, e.g. model.promoted.")],
    id: IdOption = None,
    after: Annotated[
        int | None, typer.Option(help="Count events after this sequence, too.")
    ] = None,
    timeout: TimeoutOption = None,
    namespace: NamespaceOption = None,
    json_output: JsonOption = False,
) -> None:
    """Wait for the next event of some types and print it: for scripts."""
    with connect(namespace) as client:
        event = client.wait(
            *type, id=_whole(client, id), after=after, timeout_seconds=duration(timeout)
        )
    write_event(event, json_output)


def _before(client: Client, since: str | None) -> int:
    """The sequence before the first event since then; the last one where none is."""
    for event in client.event.list(since=since, limit=1):
        return event.sequence - 1
    return int(client.platform()["position"])


def _window(client: Client, limit: int) -> int:
    """How far back to read for `limit` events: other namespaces' lie between one's own."""
    return limit if client.namespace == "-" else 20 * limit


def _whole(client: Client, id: str | None) -> str | None:
    """The id that its short form stands for, as tables show it."""
    if id is None or len(id) != 8 or not all(char in "0123456789abcdef" for char in id):
        return id
    ids: Iterable[str] = {event.subject_id for event in client.event.list()}
    from penstock.client.matching import the_one  # noqa: PLC0415

    return the_one(id, ids, "thing") or id


def _json_object(text: str) -> dict[str, Any]:
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
        usage(f"the data is not JSON: {error}", 'quote it: \'{"job": "j1"}\'')
    if not isinstance(found, dict):
        usage("the data is not a JSON object")
    return found


def _drawn(node: dict[str, Any], asked: str) -> Any:
    """The story of a root, for rich."""
    from rich.tree import Tree  # noqa: PLC0415

    drawn = Tree(_label(node, asked), guide_style="dim")
    _hang(drawn, node, asked)
    return drawn


def _hang(below: Any, node: dict[str, Any], asked: str) -> None:
    """Hang what a node led to below it.

    A chain of single consequences stays on one level, each marked as following from the one above:
    stories are long and seldom fork, and every level costs four columns.
    """
    children: list[dict[str, Any]] = node.get("children") or []
    while len(children) == 1:
        below.add(_label(children[0], asked, "→ "))
        children = children[0].get("children") or []
    holder = below.children[-1] if below.children and children else below
    for child in children:
        _hang(holder.add(_label(child, asked)), child, asked)


def _label(node: dict[str, Any], asked: str, mark: str = "") -> Any:
    from rich.text import Text  # noqa: PLC0415

    from penstock.cli.wording import STYLES, kind_of  # noqa: PLC0415
    from penstock.client.records import read_event  # noqa: PLC0415

    event = read_event(node["event"])
    sequence, clock, _, kind, id, said = (cell.text.strip() for cell in event_line(event))
    return Text.assemble(
        (mark, "dim"),
        (kind, STYLES[kind_of(event.verb)]),
        (f" {id}", "bold"),
        f"  {said}" if said else "",
        (f"  {clock} #{sequence}", "dim"),
        ("  ◀ asked" if event.id == asked else "", "reverse"),
    )
