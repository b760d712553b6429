"""What every command shares: options, the client, waiting, and how errors become exit codes.

0 done   1 failed   2 usage   3 not found   4 sign in   5 refused   6 timed out   130 Ctrl-C
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from penstock.cli.output import emit_json, now, say, say_event
from penstock.cli.wording import clean, moment_of, seconds_of

if TYPE_CHECKING:
    from penstock.client import Client, Ending, Wish

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_NOT_FOUND = 3
EXIT_SIGN_IN = 4
EXIT_REFUSED = 5
EXIT_TIMED_OUT = 6
EXIT_INTERRUPTED = 130
_LIST_REQUEST = re.compile(r"GET /v1/[^/ ]+/([a-z]+)")
LOG_LINES_MAX = 20
"""Of a failed job's output, shown with its failure."""

NamespaceOption = Annotated[
    str | None,
    typer.Option(
        "--namespace",
        "-n",
        envvar="PENSTOCK_NAMESPACE",
        help="The namespace; `-` reads all. [default: default]",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON to standard output.")]
AtOption = Annotated[
    str | None,
    typer.Option("--at", help="As it was then: 2026-11-24T10:00:00Z, or 10m for ten minutes ago."),
]
WaitOption = Annotated[bool, typer.Option("--wait", help="Wait for the end, well or not.")]
TimeoutOption = Annotated[
    str | None, typer.Option("--timeout", help="Wait no longer than this, e.g. 30m.")
]
NoInputOption = Annotated[bool, typer.Option("--no-input", help="Never ask; refuse instead.")]


def connect(namespace: str | None = None) -> Client:
    """The client of a command."""
    from penstock.client import Client  # noqa: PLC0415 - half of a command's start-up

    return Client(namespace=namespace)


def usage(message: str, hint: str = "") -> NoReturn:
    """End: the command line is wrong."""
    fail(message, hint, EXIT_USAGE)


def fail(message: str, hint: str = "", code: int = EXIT_FAILED) -> NoReturn:
    """End with an error that says what to do next."""
    say(f"error: {message}")
    if hint:
        say(f"hint: {hint}")
    raise typer.Exit(code)


def moment(text: str | None) -> str | None:
    """A time of an option, for the API."""
    try:
        return moment_of(text, now()) if text is not None else None
    except ValueError as error:
        usage(str(error))


def duration(text: str | None) -> float | None:
    """A duration of an option, in seconds."""
    try:
        return seconds_of(text) if text is not None else None
    except ValueError as error:
        usage(str(error))


def pairs(given: list[str], option: str) -> dict[str, str]:
    """`NAME=VALUE` options as a mapping."""
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not name or not equals:
            usage(f"{option} {text}: write it as {option} name=value")
        found[name] = value
    return found


def done(sentence: str, as_json: bool, found: Mapping[str, Any]) -> None:
    """Report what is done: in a sentence on standard error, or as JSON."""
    if as_json:
        emit_json(found)
    else:
        say(sentence)


def asked(client: Client, wish: Wish, as_json: bool, wait: bool, timeout: str | None) -> None:
    """Report a wish; with `wait` follow its story on standard error until it has ended."""
    if not wait:
        if as_json:
            emit_json(wish._asdict())
        else:
            sys.stdout.write(f"{wish.id}\n")
            say(f"asked for {wish.noun} {wish.id}; follow it: penstock event tail --id {wish.id}")
        return
    ending = follow(client, wish, duration(timeout))
    if as_json:
        emit_json({**wish._asdict(), "ok": ending.ok, "event": dict(ending.event.raw)})
    else:
        sys.stdout.write(f"{wish.id}\n")
    if not ending.ok:
        for line in str(ending.event.payload.get("log_tail") or "").splitlines()[-LOG_LINES_MAX:]:
            say(f"  {clean(line)}")
        code = EXIT_REFUSED if ending.refused else EXIT_FAILED
        hint = f"penstock event tree {ending.event.sequence}"
        fail(f"{ending.event.type}: {ending.reason}", hint, code)


def follow(client: Client, wish: Wish, timeout_seconds: float | None) -> Ending:
    """Say each event of the wish's story until the thing has ended. Ctrl-C leaves it running."""
    from penstock.client.endings import ending  # noqa: PLC0415

    story = None
    stream = client.subscribe(after=wish.sequence - 1, timeout_seconds=timeout_seconds)
    for event in stream:
        if event.sequence == wish.sequence:
            story = event.correlation_id
        if event.correlation_id == story or event.subject_id == wish.id:
            say_event(event)
        found = ending(wish.noun, wish.id, event)
        if found is not None:
            return found
    raise AssertionError("a stream of events ends by an error alone")


def exit_code(error: Exception) -> int | None:
    """Say an error that a person can act on and return its exit code; None for a defect."""
    from penstock.client import errors  # noqa: PLC0415

    if isinstance(error, errors.PenstockError):
        codes: dict[type[Any], int] = {
            errors.NotFound: EXIT_NOT_FOUND,
            errors.SignInNeeded: EXIT_SIGN_IN,
            errors.Refused: EXIT_REFUSED,
            errors.TimedOut: EXIT_TIMED_OUT,
        }
        say(f"error: {error}")
        if error.hint:
            say(f"hint: {_by_command(error.hint)}")
        return next((code for kind, code in codes.items() if isinstance(error, kind)), EXIT_FAILED)
    if type(error).__name__ == "ValidationError" and hasattr(error, "errors"):  # pydantic's
        for one in error.errors(include_url=False):
            problem = one["msg"]
            if one["type"] == "string_pattern_mismatch":
                problem = f"{one['input']!r} is no name: write a-z, 0-9 and '-', as in my-job"
            say(f"error: {'.'.join(map(str, one['loc']))}: {problem}")
        return EXIT_USAGE
    return None


def _by_command(hint: str) -> str:
    """A hint of the API as it reads here: by the command that asks for the same."""
    return _LIST_REQUEST.sub(r"penstock \1 ls", hint)
