"""The catalogue as a git revision has it: the base that a change of the contracts is judged by.

An incompatible edit followed by regenerating the catalogue leaves a catalogue that agrees with the
code; only what was there before tells that something broke.
"""

import io
import os
import subprocess
import tarfile
from pathlib import Path

from penstock_schemas.errors import SchemaError

BASE_VARIABLE = "PENSTOCK_BASE_REVISION"
GIT_SECONDS_MAX = 60.0
_OF_ANOTHER_REPOSITORY = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")
"""Set by git for its hooks; the folder alone shall say which repository is meant."""


class NoBase(SchemaError):
    """There is no revision to compare the catalogue with."""


def base_revision(folder: Path) -> str:
    """The revision that the catalogue in `folder` must stay compatible with.

    What PENSTOCK_BASE_REVISION names (the target of a branch, the last release); else `HEAD` where
    the folder differs from it, and the first parent of `HEAD` where it does not, so that the test
    run of a commit judges that commit. Raises `NoBase`, saying why.
    """
    named = os.environ.get(BASE_VARIABLE)
    if named:
        return named
    if not folder.is_dir() or _git(folder, "rev-parse", "--verify", "--quiet", "HEAD") is None:
        raise NoBase(f"{folder.name} is in no git checkout with a commit; name {BASE_VARIABLE}")
    if _git(folder, "status", "--porcelain", "--", "."):
        return "HEAD"
    if _git(folder, "rev-parse", "--verify", "--quiet", "HEAD^1") is None:
        raise NoBase(
            f"HEAD has no parent here (a first commit or a shallow clone): fetch one more commit, "
            f"or name {BASE_VARIABLE}"
        )
    return "HEAD^1"


def write_catalogue_of(revision: str, folder: Path, target: Path) -> None:
    """Write what `folder` held at a revision below `target`.

    Raises `NoBase` where the revision is not known or has no such folder.
    """
    archive = _git(folder, "archive", "--format=tar", revision, ".")
    if archive is None:
        raise NoBase(f"{revision} is no revision here that holds {folder.name}")
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar.getmembers():
            file = tar.extractfile(member) if member.isfile() else None
            if file is not None:
                (target / member.name).parent.mkdir(parents=True, exist_ok=True)
                (target / member.name).write_bytes(file.read())


def _git(folder: Path, *arguments: str) -> bytes | None:
    """The output of a git command in a folder, None where it fails or there is no git."""
    environment = {k: v for k, v in os.environ.items() if k not in _OF_ANOTHER_REPOSITORY}
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            check=False,
            capture_output=True,
            env=environment,
            timeout=GIT_SECONDS_MAX,
        )
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None
