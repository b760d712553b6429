"""`penstock job`: run, why, logs, metrics, cancel."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.cli import programs
from penstock.cli.output import Cell, emit_json, fields, now, say, table, write
from penstock.cli.session import (
    JsonOption,
    NamespaceOption,
    TimeoutOption,
    WaitOption,
    asked,
    connect,
)
from penstock.cli.wording import clock, value, what

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

JobArgument = Annotated[str, typer.Argument(help="Its id, or either end of it.")]
_PASS_ON = {"ignore_unknown_options": True, "allow_interspersed_args": False}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("run", context_settings=_PASS_ON)(run)
    for function in (why, logs, metrics, cancel):
        app.command(function.__name__)(function)


def run(
    script: programs.ScriptArgument,
    source: programs.SourceOption = None,
    param: programs.ParamOption = None,
    input: programs.InputOption = None,
    name: Annotated[str | None, typer.Option("--name", help="Its id; else one is made.")] = None,
    queue: programs.QueueOption = "default",
    cpu: programs.CpuOption = 1.0,
    gpu: programs.GpuOption = 0,
    max_attempts: programs.AttemptsOption = 3,
    model: programs.ModelOption = None,
    wait: WaitOption = False,
    timeout: TimeoutOption = None,
    namespace: NamespaceOption = None,
    json_output: JsonOption = False,
) -> None:
    """Run a script as a job; options come before the script."""
    command, sent = programs.program(script, source)
    with connect(namespace) as client:
        wish = client.job.run(
            command,
            name=name,
            source=sent,
            params=programs.params(param),
            inputs=programs.inputs(input),
            queue=queue,
            resources=programs.resources(cpu, gpu),
            max_attempts=max_attempts,
            target=programs.target(model),
        )
        asked(client, wish, json_output, wait, timeout)


def why(
    id: JobArgument, namespace: NamespaceOption = None, json_output: JsonOption = False
) -> None:
    """Say why a job is where it is: one sentence, then the reasons in order."""
    with connect(namespace) as client:
        found = client.job.why(client.job.find(id).id)
    if json_output:
        emit_json(found)
        return
    write(found["sentence"])
    reasons = [_reason(event) for event in found["events"]]
    if reasons:
        write("")
        table(["when", "what", "why"], reasons)


def logs(
    id: JobArgument, namespace: NamespaceOption = None, json_output: JsonOption = False
) -> None:
    """Print what a job printed."""
    with connect(namespace) as client:
        job = client.job.find(id).id
        text = client.job.logs(job)
    if json_output:
        emit_json({"job": job, "log": text})
    elif text:
        write(text.removesuffix("\n"))
    else:
        say(f"job {job} has printed nothing yet")


def metrics(
    id: JobArgument, namespace: NamespaceOption = None, json_output: JsonOption = False
) -> None:
    """Print what a job has reported so far."""
    with connect(namespace) as client:
        job = client.job.find(id).id
        points = client.job.metrics(job)
    if json_output:
        emit_json({"points": points})
    elif points:
        table(*_points(points))
    else:
        say(f"job {job} has reported no metric yet: run.log(auc=0.7) in the script does")


def cancel(
    id: JobArgument,
    reason: Annotated[str, typer.Option(help="Why, for others.")] = "asked for",
    wait: WaitOption = False,
    timeout: TimeoutOption = None,
    namespace: NamespaceOption = None,
    json_output: JsonOption = False,
) -> None:
    """Ask for a job's end."""
    with connect(namespace) as client:
        wish = client.job.cancel(client.job.find(id).id, reason=reason)
        if not wait:
            asked(client, wish, json_output, False, None)
            return
        from penstock.cli.session import duration  # noqa: PLC0415

        ending = client.job.wait(wish.id, timeout_seconds=duration(timeout))
    if json_output:
        emit_json(ending.event.raw)
    else:
        fields({"job": Cell(wish.id), "ended": Cell(ending.event.type, ending.event.verb)})


def _reason(event: Mapping[str, Any]) -> list[Cell]:
    """A row for one reason: an event of the log, or its time, type and reason alone."""
    time = datetime.fromisoformat(event["time"])
    said = event.get("reason")
    if said is None and "id" in event:
        from penstock.client.records import read_event  # noqa: PLC0415

        said = what(read_event(event))
    verb = str(event["type"]).partition(".")[2]
    return [Cell(clock(time, now())), Cell(str(event["type"]), verb), Cell(value(said))]


def _points(points: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[Cell]]]:
    names = list(dict.fromkeys(name for point in points for name in point["metrics"]))
    rows = [
        [
            Cell(value(point.get("step")), number=True),
            *(Cell(value(point["metrics"].get(name)), number=True) for name in names),
        ]
        for point in points
    ]
    return ["step", *names], rows
