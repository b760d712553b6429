"""Write the catalogue, or check that it is up to date: `python -m penstock_schemas.catalog`."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from penstock_schemas.acceptance import Schema
from penstock_schemas.catalog import MissingVersion, catalogue
from penstock_schemas.compat import breaks, explain

REGENERATE = "run `python -m penstock_schemas.catalog` and commit what it writes"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit status: 0, or 1 with a line on stderr for each problem."""
    parser = argparse.ArgumentParser(prog="python -m penstock_schemas.catalog")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 and name what differs"
    )
    parser.add_argument(
        "dir", metavar="DIR", type=Path, nargs="?", help="default: catalog/ of the source checkout"
    )
    chosen = parser.parse_args(arguments)
    folder = chosen.dir or _checkout()
    if folder is None:
        parser.error("not in a source checkout: name the DIR of the catalogue")
    released = read(folder)
    try:
        files = catalogue(released)
    except MissingVersion as error:
        return _fail([str(error)])
    stale = [path for path, text in files.items() if _text(folder / path) != text]
    if chosen.check:
        return _fail([f"{path} differs: {REGENERATE}" for path in stale])
    problems = _refused(files, released)
    if problems:
        return _fail([*problems, "Nothing was written."])
    for path in stale:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(files[path], encoding="utf-8")
        sys.stdout.write(f"{path} written\n")
    return 0


def read(folder: Path) -> dict[str, Schema]:
    """The schemas of the catalogue in `folder`, by path."""
    return {
        path.relative_to(folder).as_posix(): json.loads(path.read_bytes())
        for path in sorted(folder.glob("*/v*.json"))
    }


def _refused(files: Mapping[str, str], released: Mapping[str, Schema]) -> list[str]:
    return [
        explain(path.split("/")[0], int(Path(path).stem.removeprefix("v")), found)
        + f"; or, where it was never released, delete {path} and run this again"
        for path, schema in released.items()
        for found in breaks(schema, json.loads(files[path]))
    ]


def _checkout() -> Path | None:
    package = Path(__file__).resolve().parents[3]
    return package / "catalog" if (package / "pyproject.toml").is_file() else None


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _fail(problems: Sequence[str]) -> int:
    for line in problems:
        sys.stderr.write(f"{line}\n")
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
