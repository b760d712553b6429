"""`penstock experiment`: run, best."""

from __future__ import annotations

from typing import Annotated

import typer

from penstock.cli import programs
from penstock.cli.output import Cell, emit_json, fields
from penstock.cli.session import (
    JsonOption,
    NamespaceOption,
    TimeoutOption,
    WaitOption,
    asked,
    connect,
    pairs,
    usage,
)
from penstock.cli.wording import value

_PASS_ON = {"ignore_unknown_options": True, "allow_interspersed_args": False}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("run", context_settings=_PASS_ON)(run)
    app.command("best")(best)


def run(
    name: Annotated[str, typer.Argument(help="The experiment's name.")],
    script: programs.ScriptArgument,
    space: Annotated[
        list[str],
        typer.Option("--space", "-s", help="NAME=LOW..HIGH[:log], or NAME=A,B,C; repeatable."),
    ],
    metric: Annotated[str, typer.Option("--metric", "-m", help="What the script reports.")],
    minimize: Annotated[bool, typer.Option("--minimize", help="Less is better.")] = False,
    trials: Annotated[int, typer.Option("--trials", min=1, help="Trials in all.")] = 8,
    parallel: Annotated[int, typer.Option("--parallel", min=1, help="Trials at a time.")] = 1,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the search.")] = 0,
    source: programs.SourceOption = None,
    param: programs.ParamOption = None,
    input: programs.InputOption = None,
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
    """Search for a script's best parameters; options come before the name."""
    command, sent = programs.program(script, source)
    try:
        found = {
            one: programs.distribution(one, text) for one, text in pairs(space, "--space").items()
        }
    except ValueError as error:
        usage(f"--space {error}")
    with connect(namespace) as client:
        wish = client.experiment.run(
            name,
            command,
            space=found,
            metric=metric,
            goal="minimize" if minimize else "maximize",
            max_trials=trials,
            parallel_trials=parallel,
            source=sent,
            params=programs.params(param),
            inputs=programs.inputs(input),
            target=programs.target(model),
            seed=seed,
            queue=queue,
            resources=programs.resources(cpu, gpu),
            max_attempts=max_attempts,
        )
        asked(client, wish, json_output, wait, timeout)


def best(
    name: Annotated[str, typer.Argument(help="The experiment.")],
    namespace: NamespaceOption = None,
    json_output: JsonOption = False,
) -> None:
    """Show the best trial so far: its value, its parameters, its job."""
    with connect(namespace) as client:
        trial = client.experiment.best(name)
        params = client.trial.get(trial.trial).get("params") or {}
    if json_output:
        emit_json({**trial.model_dump(mode="json"), "params": params})
        return
    fields(
        {
            "trial": Cell(trial.trial),
            "value": Cell(value(trial.value)),
            "metrics": Cell(value(dict(trial.metrics))),
            "params": Cell(value(params)),
            "job": Cell(trial.job),
        }
    )
