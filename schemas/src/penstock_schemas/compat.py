"""Does a new schema accept everything that the released schema of the same version accepted?

Histories are read for ever, so a version of a contract only grows: new optional fields, wider
bounds, more values. What does not fit is named by event type and JSON path, with what to do.

    python -m penstock_schemas.compat BASE NEW_DIR

compares two catalogues; exit status 1 and one line for each break. BASE is a folder, or
`git:REVISION` for NEW_DIR as it was then, or `git:` for its base (see `revisions`).
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from penstock_schemas.acceptance import Break, Schema, lost
from penstock_schemas.revisions import NoBase, base_revision, write_catalogue_of

GIT = "git:"
KEY = "x-penstock-key"
"""The keyword under which a schema of the catalogue says which field names the aggregate."""


def breaks(released: Schema, new: Schema) -> list[Break]:
    """Everything that the released schema accepted and the new one does not, in document order."""
    found = lost(released, new)
    if released.get(KEY) != new.get(KEY):
        change = f"{released.get(KEY)!r} to {new.get(KEY)!r}"
        found.insert(0, Break("$", f"the field that names the aggregate changed from {change}"))
    return found


def explain(type: str, version: int, found: Break) -> str:
    """The break as a line for a person: which contract, where, and what to do."""
    return (
        f"{type} version {version}: {found.path}: {found.problem}. "
        f"Keep version {version} as released: make this version {version + 1} and register an "
        f"upcaster from {version} (node.registered shows how)"
    )


def compare_catalogues(base: Path, new: Path) -> list[str]:
    """One line for each break of the catalogue `new` against the catalogue `base`."""
    problems = []
    for path in sorted(base.glob("*/v*.json")):
        type, version = path.parent.name, int(path.stem.removeprefix("v"))
        after = new / path.relative_to(base)
        if not after.is_file():
            problems.append(
                f"{type} version {version} was released and is gone: restore {path.name}"
            )
            continue
        found = breaks(json.loads(path.read_bytes()), json.loads(after.read_bytes()))
        problems.extend(explain(type, version, one) for one in found)
    return problems


def compare_with_revision(revision: str, folder: Path) -> list[str]:
    """One line for each break of the catalogue in `folder` against what it was at a revision.

    Raises `NoBase` where that revision has no catalogue there.
    """
    with tempfile.TemporaryDirectory() as base:
        write_catalogue_of(revision, folder, Path(base))
        if not _holds_catalogue(Path(base)):
            raise NoBase(f"{revision} has no catalogue in {folder.name}")
        return compare_catalogues(Path(base), folder)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m penstock_schemas.compat", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("base", metavar="BASE", help="the released catalogue")
    parser.add_argument("new", type=Path, metavar="NEW_DIR", help="the catalogue to judge")
    chosen = parser.parse_args(arguments)
    revision = chosen.base.removeprefix(GIT) if chosen.base.startswith(GIT) else None
    for folder in (chosen.new,) if revision is not None else (Path(chosen.base), chosen.new):
        if not _holds_catalogue(folder):
            parser.error(f"{folder} holds no catalogue (<type>/v<version>.json)")
    try:
        if revision is None:
            problems = compare_catalogues(Path(chosen.base), chosen.new)
        else:
            base = revision or base_revision(chosen.new)
            problems = compare_with_revision(base, chosen.new)
    except NoBase as error:
        parser.error(str(error))
    for line in problems:
        sys.stderr.write(f"{line}\n")
    return 1 if problems else 0


def _holds_catalogue(folder: Path) -> bool:
    return any(folder.glob("*/v*.json"))


if __name__ == "__main__":
    raise SystemExit(main())
