"""Documents that commands take by `--file`: read, and what is wrong with them said."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.cli.output import say
from penstock.cli.wording import clean

if TYPE_CHECKING:
    from penstock.client import Declaration, Fault

STDIN = "-"


def read(files: Sequence[str]) -> tuple[list[Declaration], list[Fault]]:
    """The documents of files, folders and standard input; every fault of them is said."""
    from penstock.client import read_documents, read_files  # noqa: PLC0415
    from penstock.client.documents import twice  # noqa: PLC0415

    declarations, faults = read_files(one for one in files if one != STDIN)
    if STDIN in files:
        more, wrong = read_documents(sys.stdin.read(), "-", Path.cwd())
        known = len(twice(declarations))
        declarations += more
        faults += wrong + twice(declarations)[known:]
    for fault in faults:
        say(f"error: {clean(str(fault))}")
    return declarations, faults
