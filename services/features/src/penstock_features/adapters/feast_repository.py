"""A user's Feast repository, applied; its faults told with file, line and what to change."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from penstock_features.adapters.patched_feast import (
    FeastError,
    RepoConfig,
    apply_total,
    get_repo_files,
)
from penstock_features.adapters.repository_files import CONFIG_NAME
from penstock_features.errors import RepositoryError


def load_config(repository: Path, raw: dict[str, Any]) -> Any:
    """Return Feast's `RepoConfig`; a registry or online store that came with the repository goes.

    Such a file tells of other data than the dataset's.
    """
    try:
        config = RepoConfig(**raw)
    except (FeastError, ValueError) as error:  # pydantic's ValidationError is a ValueError
        raise RepositoryError(f"{CONFIG_NAME}: {error}") from error
    config.repo_path = repository
    for stale in (config.registry.path, getattr(config.online_store, "path", None)):
        if stale and "://" not in str(stale):
            _remove_inside(repository, repository / str(stale))
    return config


def apply(config: Any, repository: Path) -> None:
    """Run `feast apply`: import the repository's files, write the registry, create the stores."""
    os.chdir(repository)
    sys.path.insert(0, str(repository))
    printed = io.StringIO()
    try:
        with blaming(repository), contextlib.redirect_stdout(printed):
            apply_total(config, repository, skip_source_validation=False)
    except SystemExit as error:
        # Feast prints its reason and exits.
        reason = (printed.getvalue().strip().splitlines() or ["it gave no reason"])[-1]
        raise RepositoryError(f"feast apply refused the repository: {reason}") from error
    finally:
        sys.stderr.write(printed.getvalue())


@contextlib.contextmanager
def blaming(repository: Path) -> Iterator[None]:
    """Turn an error that is the repository's fault into a `RepositoryError` with file and line.

    The fault is the repository's where the error rose in its code, or is one of Feast's refusals.
    Anything else passes through as it is.
    """
    try:
        yield
    except SyntaxError as error:
        where = _place_in(repository, error.filename, error.lineno)
        raise RepositoryError(f"{where or 'repository'}: SyntaxError: {error.msg}") from error
    except Exception as error:
        where = _last_frame_in(repository, error)
        reason = f"{type(error).__name__}: {error}"
        if where:
            raise RepositoryError(f"{where}: {reason}") from error
        if isinstance(error, FeastError | ValueError | TypeError):
            raise RepositoryError(f"Feast refused the repository: {reason}") from error
        raise


def locate(repository: Path, text: str) -> str:
    """Return `file:line` of the first quoted `text` in the repository's code, else its root."""
    for path in get_repo_files(repository):
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        for number, line in enumerate(lines, start=1):
            if f'"{text}"' in line or f"'{text}'" in line:
                return f"{path.relative_to(repository)}:{number}"
    return "repository"


def _remove_inside(repository: Path, path: Path) -> None:
    if path.resolve().is_relative_to(repository.resolve()):
        path.unlink(missing_ok=True)


def _last_frame_in(repository: Path, error: BaseException) -> str | None:
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if where := _place_in(repository, frame.filename, frame.lineno):
            return where
    return None


def _place_in(repository: Path, filename: str | None, line: int | None) -> str | None:
    if filename and Path(filename).is_relative_to(repository):
        return f"{Path(filename).relative_to(repository)}:{line}"
    return None
