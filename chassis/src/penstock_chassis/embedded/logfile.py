"""The log file of one child process: appended to, bounded at every start, read from its end."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

MAX_LOG_BYTES = 8 * 1024 * 1024
"""At a start a longer log becomes `<name>.1`, replacing the one before: two of this at most,
plus what one run of the child writes."""
TAIL_BYTES = 16 * 1024
TAIL_LINES = 20


def open_log(path: Path) -> BinaryIO:
    """Open for appending, after setting an overlong log aside. Created 0600 in a 0700 folder."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if path.exists() and path.stat().st_size > MAX_LOG_BYTES:
        path.replace(path.with_name(path.name + ".1"))
    path.touch(mode=0o600)
    return path.open("ab", buffering=0)


def tail(path: Path, lines: int = TAIL_LINES, *, from_byte: int = 0) -> str:
    """The last lines written at or after `from_byte`; empty where there is no such file."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            start = max(from_byte if from_byte <= size else 0, size - TAIL_BYTES)
            file.seek(start)
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
