"""What can go wrong in this package; every message is written for the person who can mend it."""

from __future__ import annotations


class DatasetsError(Exception):
    """The dataset could not be handled."""


class InvalidManifestError(DatasetsError):
    """A manifest breaks a rule: a path, a size, a digest, a table."""


class InvalidDatasetError(DatasetsError):
    """A file of the dataset is not what it should be; the message names it and the fix."""


class ProfilerError(DatasetsError):
    """The profiler was stopped (time, memory) or broke for a reason that is not the data's."""


class RefusedError(DatasetsError):
    """A request or a version cannot be served: `field` is at fault, `fix` says what to do."""

    def __init__(self, reason: str, *, field: str, fix: str) -> None:
        super().__init__(reason)
        self.field = field
        self.fix = fix
