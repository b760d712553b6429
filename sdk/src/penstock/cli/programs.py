"""What `job run` and `experiment run` share: the program, its parameters, inputs and target."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.cli.output import say
from penstock.cli.session import pairs, usage

if TYPE_CHECKING:
    from penstock_schemas import ModelTarget, ObjectRef, Resources

ScriptArgument = Annotated[
    list[str], typer.Argument(metavar="SCRIPT [ARGS]...", help="A Python file, or a command.")
]
SourceOption = Annotated[
    Path | None,
    typer.Option("--source", help="A folder to send along; the script's path is inside of it."),
]
ParamOption = Annotated[
    list[str] | None, typer.Option("--param", "-p", help="NAME=VALUE, JSON or text; repeatable.")
]
InputOption = Annotated[
    list[str] | None,
    typer.Option("--input", "-i", help="NAME=PATH (uploaded) or NAME={reference}; repeatable."),
]
QueueOption = Annotated[str, typer.Option("--queue", "-q", help="Where it waits.")]
CpuOption = Annotated[float, typer.Option("--cpu", help="CPU cores.")]
GpuOption = Annotated[int, typer.Option("--gpu", help="Whole GPUs.")]
AttemptsOption = Annotated[int, typer.Option("--max-attempts", min=1, help="Tries in all.")]
ModelOption = Annotated[
    str | None, typer.Option("--model", help="Register what it saves as a version of this model.")
]


_OWN_OPTIONS = frozenset(
    {
        *("--wait", "--timeout", "--name", "--source", "--queue", "--cpu", "--gpu"),
        *("--max-attempts", "--model", "--namespace", "--json"),
    }
)


def program(words: list[str], source: Path | None) -> tuple[list[str], Path | None]:
    """The command and what is sent along: a Python file goes by itself without `--source`."""
    first = words[0]
    ours = [word for word in words[1:] if word.partition("=")[0] in _OWN_OPTIONS]
    if ours:
        say(f"note: {ours[0]} comes after the script and is passed on to it; ours come before it")
    if not first.endswith(".py"):
        return words, source
    if source is not None:
        if not (source / first).is_file():
            usage(f"there is no {first} in {source}", "give the script's path inside of --source")
        return ["{python}", *words], source
    if not Path(first).is_file():
        usage(f"there is no file {first}")
    return ["{python}", Path(first).name, *words[1:]], Path(first)


def params(given: list[str] | None) -> dict[str, Any]:
    """Parameters: JSON where it is, text where not."""
    return {name: _literal(text) for name, text in pairs(given or [], "--param").items()}


def inputs(given: list[str] | None) -> dict[str, Path | ObjectRef]:
    """Inputs: paths that exist, or references as JSON."""
    from penstock_schemas import ObjectRef  # noqa: PLC0415

    found: dict[str, Path | ObjectRef] = {}
    for name, text in pairs(given or [], "--input").items():
        if text.startswith("{"):
            found[name] = ObjectRef.model_validate_json(text)
        elif Path(text).exists():
            found[name] = Path(text)
        else:
            usage(f"--input {name}: there is nothing at {text}")
    return found


def resources(cpu: float, gpu: int) -> Resources:
    """What each job takes."""
    from penstock_schemas import Resources  # noqa: PLC0415

    return Resources(cpu=cpu, gpu=gpu)


def target(model: str | None) -> ModelTarget | None:
    """Where a trained model goes."""
    from penstock_schemas import ModelTarget  # noqa: PLC0415

    return ModelTarget(model=model) if model else None


def distribution(name: str, text: str) -> dict[str, Any]:
    """A `--space` option: `0.02..0.3:log`, `7..63`, or `a,b,c`; raises `ValueError`."""
    if ".." in text:
        span, _, scale = text.partition(":")
        low, _, high = (part.strip() for part in span.partition(".."))
        if scale not in ("", "log"):
            raise ValueError(f"{name}: the scale {scale!r} is not `log`")
        whole = all(part.lstrip("-").isdigit() for part in (low, high))
        number = int if whole else float
        try:
            bounds = {"low": number(low), "high": number(high)}
        except ValueError:
            raise ValueError(f"{name}: {low!r} or {high!r} is no number") from None
        return {"kind": "int" if whole else "float", **bounds, "log": scale == "log"}
    choices = [_literal(part.strip()) for part in text.split(",")]
    if len(choices) < 2:
        raise ValueError(f"{name}: write LOW..HIGH[:log], or the choices A,B,C")
    return {"kind": "categorical", "choices": choices}


def _literal(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
