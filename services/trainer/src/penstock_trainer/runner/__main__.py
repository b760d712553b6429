"""`penstock-run [--detach] <attempt directory>`: claim, run, write down the end.

With `--detach` the runner goes into the background, out of reach of whoever started it, and the
command exits as soon as the attempt is claimed or refused (exit codes: see the package).
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Final

from penstock_trainer.runner import BAD_SPEC, CLAIMED, CRASHED, Refused
from penstock_trainer.runner import claim as claims
from penstock_trainer.runner.files import write_json
from penstock_trainer.runner.ranks import become_subreaper
from penstock_trainer.runner.spec import read_spec
from penstock_trainer.runner.supervise import Supervisor

USAGE: Final = "usage: penstock-run [--detach] <attempt directory>"
SIGNAL_CODE_BASE: Final = 128
"""A process ended by signal n is told as exit code 128 + n, as shells do."""


def main() -> None:
    """Entry point of the console script."""
    arguments = sys.argv[1:]
    detach = "--detach" in arguments
    directories = [word for word in arguments if word != "--detach"]
    if len(directories) != 1 or directories[0].startswith("-"):
        _say(USAGE)
        sys.exit(BAD_SPEC)
    directory = Path(directories[0]).absolute()
    if detach:
        sys.exit(_run_detached(directory))
    try:
        sys.exit(run(directory))
    except Refused as refusal:
        _say(str(refusal))
        sys.exit(refusal.code)


def run(directory: Path, verdict: int | None = None) -> int:
    """Run the attempt in `directory` to its end; return the exit code that mirrors it.

    `verdict` is a pipe that hears `CLAIMED` (detached); without one the ranks' output is also
    copied to stdout. Raises Refused.
    """
    spec = read_spec(directory)
    with contextlib.suppress(PermissionError):  # a shell's job or a container's process 1 leads
        os.setsid()
    become_subreaper()
    supervisor = Supervisor(spec, tee=None if verdict is not None else 1)
    supervisor.listen()
    lock = claims.claim(spec)
    if verdict is not None:
        _tell(verdict, CLAIMED, "")
        _point_stderr_at(directory / "runner.log")
    record = supervisor.run()
    write_json(spec.exit_file, record)
    os.close(lock)
    if record["signal"] is not None:
        return SIGNAL_CODE_BASE + int(record["signal"])
    return int(record["exit_code"] or 0)


def _run_detached(directory: Path) -> int:
    """Fork; the child is the runner, the parent returns its verdict on the claim."""
    verdict, their_verdict = os.pipe()
    if os.fork() == 0:
        os.close(verdict)
        os._exit(_run_as_child(directory, their_verdict))
    os.close(their_verdict)
    with os.fdopen(verdict, "rb") as pipe:
        code, _, message = pipe.read().decode().partition(" ")
    if message:
        _say(message)
    return int(code) if code else CRASHED


def _run_as_child(directory: Path, verdict: int) -> int:
    # Nothing of the starter's may be held open: it waits for the end of these streams.
    for stream in (0, 1, 2):
        os.dup2(os.open(os.devnull, os.O_RDWR), stream)
    os.chdir("/")
    try:
        return run(directory, verdict)
    except Refused as refusal:
        _tell(verdict, refusal.code, str(refusal))
        return refusal.code
    except BaseException as error:  # noqa: BLE001 - the last frame of this process
        _tell(verdict, CRASHED, f"{type(error).__name__}: {error}")
        sys.excepthook(type(error), error, error.__traceback__)
        return CRASHED


def _tell(verdict: int, code: int, message: str) -> None:
    try:
        os.write(verdict, f"{code} {message}".encode())
        os.close(verdict)
    except OSError:
        return  # told before, or nobody listens any more


def _point_stderr_at(path: Path) -> None:
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 2)
    os.close(log)


def _say(message: str) -> None:
    sys.stderr.write(f"penstock-run: {message}\n")


if __name__ == "__main__":
    main()
