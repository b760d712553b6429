"""The training side of Penstock: what a script uses to read its parameters and say how it went.

    with penstock.run() as run:
        rate = run.param("learning_rate", 0.1)
        table = pandas.read_parquet(run.input("training"))
        ...
        run.log(step=20, auc=0.70)
        run.result(auc=0.71)
        run.save_model(model, example=table[features])

On the platform, the runner hands everything over in environment variables (`PENSTOCK_PARAMS`,
`PENSTOCK_INPUTS` and those named below). Anywhere else the same script runs unchanged: what the
environment does not give comes from the command line, if the script passes it on
(`penstock.run(argv=sys.argv[1:])`), then from the defaults in the script, and what the script
writes goes below `./penstock-run/`.

Importing this module costs a few milliseconds: it needs the standard library alone. Nothing here
talks to a network; the files that it writes are read by the runner.
"""

from __future__ import annotations

import json
import math
import operator
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType, MappingProxyType, TracebackType
from typing import Any, TypeVar, cast, overload

T = TypeVar("T")

LOCAL_DIRECTORY = "penstock-run"
_REQUIRED = object()
_NO_NUMBER = (TypeError, ValueError, OverflowError, RuntimeError)
"""What `float()` of a stranger's object raises (RuntimeError: a tensor of many elements)."""


class RunError(Exception):
    """The run's parameters, inputs, result or model are not usable; the message says the fix."""


def run(
    argv: Sequence[str] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    directory: str | Path = LOCAL_DIRECTORY,
) -> Run:
    """Return this process's run; a context manager, though it works without `with` too.

    `argv`, when given, is read for `--param NAME=VALUE` and `--input NAME=PATH` (each as often as
    needed) and `--run-dir DIR`; it wins over the environment, and anything else in it ends the
    process with a usage message. Raises RunError for environment variables that are not readable.
    """
    environ = os.environ if environ is None else environ
    params = _json_object("PENSTOCK_PARAMS", environ)
    inputs = _json_object("PENSTOCK_INPUTS", environ)
    if argv is not None:
        given_params, given_inputs, given_directory = _arguments(argv)
        params |= given_params
        inputs |= given_inputs
        directory = given_directory or directory
    return Run(params, {n: Path(str(p)) for n, p in inputs.items()}, environ, Path(directory))


class Run:
    """One attempt at a job, seen from inside. Made by `run`."""

    def __init__(
        self,
        params: Mapping[str, Any],
        inputs: Mapping[str, Path],
        environ: Mapping[str, str],
        directory: Path,
    ) -> None:
        directory = directory.absolute()  # a script may change its working directory
        self.params: Mapping[str, Any] = MappingProxyType(dict(params))
        self.inputs: Mapping[str, Path] = MappingProxyType(dict(inputs))
        self.attempt = int(environ.get("PENSTOCK_ATTEMPT", "1"))
        """1 for the first try of the job, 2 for the next, and so on."""
        resume_from = environ.get("PENSTOCK_RESUME_FROM")
        self.resume_from: Path | None = Path(resume_from) if resume_from else None
        """The checkpoint to go on from; None where there is none."""

        def place(variable: str, name: str) -> Path:
            return Path(environ.get(variable) or directory / name)

        self._output_dir = place("PENSTOCK_OUTPUT_DIR", "output")
        self._checkpoint_dir = place("PENSTOCK_CHECKPOINT_DIR", "checkpoints")
        self._result_path = place("PENSTOCK_RESULT", "result.json")
        self._metrics_path = place("PENSTOCK_METRICS", "metrics.jsonl")
        self._is_local = "PENSTOCK_METRICS" not in environ
        self._metrics_file: int | None = None
        self._result: dict[str, int | float] = {}
        self._warned: set[str] = set()
        self._stop_requested = False
        self._stop_armed = False
        self._previous_handler: Any = None

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the metrics file and give SIGTERM back to whoever had it. Safe to call again."""
        if self._metrics_file is not None:
            os.close(self._metrics_file)
            self._metrics_file = None
        if self._stop_armed and self._previous_handler is not None:
            signal.signal(signal.SIGTERM, self._previous_handler)
        self._stop_armed = False

    @overload
    def param(self, name: str) -> Any: ...
    @overload
    def param(self, name: str, default: T) -> T: ...
    def param(self, name: str, default: Any = _REQUIRED) -> Any:
        """Return a parameter, of the type of `default` where that is bool, int, float or str.

        A whole number passes as a float and `31.0` as the int 31, but `31.5` is no int. Without a
        default, or with any other, the value comes as it was given. Raises RunError for a value
        that does not fit, and for a missing one without a default.
        """
        if name not in self.params:
            if default is _REQUIRED:
                raise RunError(
                    f"parameter {name!r} is missing: give it to the job, or as "
                    f"--param {name}=VALUE; given are {_names(self.params)}"
                )
            return default
        value = self.params[name]
        for kind in (bool, int, float, str):  # bool before int: True is an int, too
            if isinstance(default, kind):
                return _as(kind, name, value)
        return value

    def input(self, name: str, default: str | Path | None = None) -> Path:
        """Return the local path of an input, a file or a folder, for reading only.

        Raises RunError where the input is not given, or where nothing is at its path.
        """
        path = self.inputs.get(name, Path(default) if default is not None else None)
        if path is None:
            raise RunError(
                f"input {name!r} is missing: give it to the job, or as --input {name}=PATH; "
                f"given are {_names(self.inputs)}"
            )
        if not path.exists():
            raise RunError(f"input {name!r}: there is nothing at {path}")
        return path

    @property
    def output_dir(self) -> Path:
        """A folder that exists; what is below it at exit 0 is the job's output."""
        self._output_dir.mkdir(parents=True, exist_ok=True)
        return self._output_dir

    @property
    def checkpoint_dir(self) -> Path:
        """A folder that exists and that is kept between the attempts of a job."""
        self._checkpoint_dir.mkdir(parents=True, exist_ok=True)
        return self._checkpoint_dir

    def log(self, step: int | None = None, **metrics: object) -> None:
        """Report metrics while the work goes on: `run.log(step=20, auc=0.7)`. Never raises.

        Takes whatever `float()` takes but text (numpy scalars, tensors of one element). A metric
        that is no finite number (NaN and infinities included: JSON has none) is left out, the
        others of the same report are kept, and standard error says so once for each name. The same
        goes for a file that cannot be written: training is worth more than its log.
        """
        kept: dict[str, int | float] = {}
        for name, value in metrics.items():
            try:
                kept[name] = _number(value)
            except _NO_NUMBER as error:
                self._warn(name, f"metric {name!r} is left out: {error}")
        try:
            step = None if step is None else operator.index(step)
        except TypeError:
            self._warn("step", f"step {step!r} is left out: it is no whole number")
            step = None
        if not kept:
            return
        line = json.dumps({"time": time.time(), "step": step, "metrics": kept}) + "\n"
        try:
            self._append(line.encode())
            if self._is_local:
                said = " ".join(f"{name}={value:.6g}" for name, value in kept.items())
                print(said if step is None else f"step {step}: {said}", flush=True)  # noqa: T201
        except (OSError, ValueError) as error:  # ValueError: standard output is closed
            self._warn("writing", f"metrics are not written: {error}")

    def log_metric(self, name: str, value: object, step: int | None = None) -> None:
        """Report one metric by name, as `log` does: `run.log_metric("val/auc", 0.7, step=20)`."""
        self.log(step, **{name: value})

    def report(self, metrics: Mapping[str, object], step: int | None = None) -> None:
        """Report metrics that are a mapping already, as `log` does."""
        for name in metrics:
            if name in ("self", "step"):
                self._warn(name, f"metric {name!r} is left out: choose another name")
        kept = {str(name): value for name, value in metrics.items()}
        self.log(step, **{n: v for n, v in kept.items() if n not in ("self", "step")})

    def result(self, **metrics: object) -> None:
        """Write the final metrics; a second call adds to the first, and replaces equal names.

        The file is replaced whole, so that a reader never sees half of it. Unlike `log` this
        raises RunError for a metric that is no finite number: a decision is made on it, so a run
        that has diverged must fail rather than report nothing.
        """
        for name, value in metrics.items():
            try:
                self._result[name] = _number(value)
            except _NO_NUMBER as error:
                raise RunError(f"result metric {name!r} is not usable: {error}") from error
        self._result_path.parent.mkdir(parents=True, exist_ok=True)
        beside = self._result_path.with_name(self._result_path.name + ".tmp")
        beside.write_text(json.dumps({"metrics": self._result}) + "\n", encoding="utf-8")
        beside.replace(self._result_path)

    def save_model(self, model: Any, example: Any) -> Path:
        """Save a fitted scikit-learn estimator below `output_dir` and return its folder.

        `example` is a pandas DataFrame of a few rows (at least one) that the model takes; see
        `penstock.model_folder.save_model` for what is inferred from it and what is refused.
        """
        from penstock.model_folder import save_model  # noqa: PLC0415 - keeps this import light

        return save_model(self.output_dir / "model", model, example)

    def should_stop(self) -> bool:
        """Say whether the platform has asked the run to stop (SIGTERM); ask between two steps.

        The first call takes SIGTERM over, and must come from the main thread; call it once early.
        A script that never asks is ended by SIGTERM at once, as any process. A script that asks
        has the job's grace to save a checkpoint and leave, and is killed after that.
        """
        if not self._stop_armed:
            try:
                self._previous_handler = signal.signal(signal.SIGTERM, self._on_sigterm)
            except ValueError:
                self._warn("SIGTERM", "should_stop() must first be called from the main thread")
                return False
            self._stop_armed = True
        return self._stop_requested

    def _on_sigterm(self, number: int, frame: FrameType | None) -> None:
        self._stop_requested = True
        if callable(self._previous_handler):  # a framework's own handler hears it as well
            self._previous_handler(number, frame)

    def _append(self, line: bytes) -> None:
        """Append in one write, so that threads and forked workers do not mix their lines."""
        if self._metrics_file is None:
            self._metrics_path.parent.mkdir(parents=True, exist_ok=True)
            # Local runs share one folder: a new one starts its metrics afresh.
            afresh = os.O_TRUNC if self._is_local else 0
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | afresh
            self._metrics_file = os.open(self._metrics_path, flags, 0o644)
        os.write(self._metrics_file, line)

    def _warn(self, about: str, message: str) -> None:
        if about not in self._warned:
            self._warned.add(about)
            sys.stderr.write(f"penstock: {message}\n")


def _number(value: object) -> int | float:
    """Return a finite plain number, or raise one of `_NO_NUMBER` with the reason."""
    if isinstance(value, str | bytes):
        raise TypeError(f"{value!r} is text, not a number")
    if isinstance(value, int):
        return int(value)
    number = float(cast(Any, value))
    if not math.isfinite(number):
        raise ValueError(f"{number} is not a finite number")
    return number


def _as(kind: type, name: str, value: Any) -> Any:
    """Return `value` as a `kind`, if nothing is lost by it; raise RunError otherwise."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind is float and is_number:
        return float(value)
    if kind is int and is_number and float(value).is_integer():
        return int(value)
    if kind in (bool, str) and isinstance(value, kind):
        return value
    if kind is str and is_number:
        return str(value)  # `--param fold=3` reads as a number
    raise RunError(f"parameter {name!r} is {value!r}, where the script expects {kind.__name__}")


def _json_object(variable: str, environ: Mapping[str, str]) -> dict[str, Any]:
    try:
        value = json.loads(environ.get(variable) or "{}")
    except ValueError as error:
        raise RunError(f"{variable} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise RunError(f'{variable} must be a JSON object such as {{"name": "value"}}')
    return value


def _arguments(argv: Sequence[str]) -> tuple[dict[str, Any], dict[str, str], str | None]:
    from argparse import ArgumentParser  # noqa: PLC0415 - 5 ms that only a hand-run needs

    parser = ArgumentParser()
    parser.add_argument("--param", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--input", action="append", default=[], metavar="NAME=PATH")
    parser.add_argument("--run-dir", metavar="DIR", help=f"instead of ./{LOCAL_DIRECTORY}")
    options = parser.parse_args(argv)
    pairs: dict[str, dict[str, str]] = {"param": {}, "input": {}}
    for kind, found in pairs.items():
        for text in getattr(options, kind):
            name, equals, value = text.partition("=")
            if not name or not equals:
                parser.error(f"--{kind} {text}: write it as --{kind} name=value")
            found[name] = value
    params = {name: _literal(text) for name, text in pairs["param"].items()}
    return params, pairs["input"], options.run_dir


def _literal(text: str) -> Any:
    """Read a parameter as JSON where it is (`0.1`, `true`, `[1, 2]`), as text where not."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _names(mapping: Mapping[str, Any]) -> str:
    return ", ".join(sorted(mapping)) or "none"
