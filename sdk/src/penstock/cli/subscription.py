"""`penstock subscription`: add, rm, deliveries, replay, test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.cli.output import Cell, emit_json, say, table, write
from penstock.cli.session import (
    JsonOption,
    NamespaceOption,
    TimeoutOption,
    WaitOption,
    asked,
    connect,
    moment,
    pairs,
    usage,
)
from penstock.cli.wording import short_id, value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from penstock.client import Client

NameArgument = Annotated[str, typer.Argument(help="The subscription.")]
PAGE_ROWS = 500


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for function in (add, rm, deliveries, replay):
        app.command(function.__name__)(function)
    app.command("test")(try_out)


def add(
    name: NameArgument,
    url: Annotated[str, typer.Argument(help="Where deliveries are posted.")],
    type: Annotated[
        list[str], typer.Option(help="An event type or a pattern, e.g. 'job.*'; repeatable.")
    ],
    secret: Annotated[
        str | None, typer.Option(help="The secret that signs. [default: the subscription's name]")
    ] = None,
    ordered: Annotated[
        bool, typer.Option("--ordered", help="One after the other, of the events about one thing.")
    ] = False,
    header: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE sent along; not secret; repeatable.")
    ] = None,
    paused: Annotated[bool, typer.Option("--paused", help="Set up, but it waits.")] = False,
    namespace: NamespaceOption = None,
    wait: WaitOption = False,
    timeout: TimeoutOption = None,
    json_output: JsonOption = False,
) -> None:
    """Send events to a URL from now on; again, it replaces what stood or begins anew."""
    with connect(namespace) as client:
        wish = client.subscription.add(
            name,
            url,
            type,
            secret=secret,
            ordered=ordered,
            headers={key: str(given) for key, given in pairs(header or [], "--header").items()},
            paused=paused,
        )
        asked(client, wish, json_output, wait, timeout)


def rm(
    name: NameArgument,
    namespace: NamespaceOption = None,
    wait: WaitOption = False,
    timeout: TimeoutOption = None,
    json_output: JsonOption = False,
) -> None:
    """Send nothing any more, and forget what waits."""
    with connect(namespace) as client:
        asked(client, client.subscription.remove(name), json_output, wait, timeout)


def deliveries(
    name: NameArgument,
    failed: Annotated[bool, typer.Option("--failed", help="Only what was not taken.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 50,
    namespace: NamespaceOption = None,
    json_output: JsonOption = False,
) -> None:
    """List the tries, newest last, and say what waits."""
    with connect(namespace) as client:
        found, outbox = _newest(client, name, failed or None, limit)
    if json_output:
        emit_json({"items": found, "outbox": outbox})
        return
    if found:
        heads = ["when", "event", "id", "try", "outcome", "status", "ms", "why", "next"]
        table(heads, [_row(one) for one in found])
    else:
        say("no deliveries yet, or none as new as the telemetry is kept")
    if outbox:
        failing = f"; nothing was taken since {outbox['failing_since']}" * bool(
            outbox["failing_since"]
        )
        write(f"{outbox['waiting']} waiting; done up to {outbox['done_up_to']}{failing}")


def replay(
    name: NameArgument,
    since: Annotated[
        str | None, typer.Option(help="From a time on: RFC 3339, or ago, e.g. 2h.")
    ] = None,
    after: Annotated[int, typer.Option(min=0, help="From above a sequence of the log on.")] = 0,
    until: Annotated[
        int | None, typer.Option(min=1, help="Up to a sequence. [default: now]")
    ] = None,
    event: Annotated[str | None, typer.Option(help="One event alone, by its id.")] = None,
    namespace: NamespaceOption = None,
    wait: WaitOption = False,
    timeout: TimeoutOption = None,
    json_output: JsonOption = False,
) -> None:
    """Send a stretch of the log again; deliveries have the ids that they had before."""
    if event is None and since is None and not after and until is None:
        usage("say what to send again", "--since 2h, --after SEQUENCE or --event ID; --after 1")
    with connect(namespace) as client:
        if event is not None:
            until = client.event.get(event).sequence
            after = until - 1
        wish = client.subscription.replay(name, after=after, until=until, since=moment(since))
        asked(client, wish, json_output, wait, timeout)


def try_out(
    name: NameArgument,
    namespace: NamespaceOption = None,
    json_output: JsonOption = False,
) -> None:
    """Post a delivery of no event now, and say what came of it."""
    with connect(namespace) as client:
        done = client.subscription.test(name)
    if json_output:
        emit_json(done)
    elif done["taken"]:
        say(f"taken: status {done['status']} after {done['milliseconds']} ms")
    else:
        say(f"not taken: {done['error']}")
    if not done["taken"]:
        raise typer.Exit(1)


def _newest(
    client: Client, name: str, failed: bool | None, limit: int
) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    found: list[dict[str, Any]] = []
    after = 0
    while True:
        page = client.subscription.deliveries(name, failed=failed, after=after, limit=PAGE_ROWS)
        found = [*found, *page["items"]][-limit:]
        if not page["next"]:
            return found, page["outbox"]
        after = int(page["next"])


def _row(one: Mapping[str, Any]) -> list[Cell]:
    return [
        Cell(str(one["time"])),
        Cell(str(one["type"])),
        Cell(short_id(str(one["event"]))),
        Cell(value(one["attempt"]), number=True),
        Cell(str(one["outcome"])),
        Cell(value(one["status"]), number=True),
        Cell(value(one["milliseconds"]), number=True),
        Cell(str(one["error"])),
        Cell(value(one["next_try"])),
    ]
