"""What can go wrong in this package; every message is written for the person who can mend it."""

from __future__ import annotations


class FeaturesError(Exception):
    """Features could not be made."""


class InvalidRequestError(FeaturesError):
    """The request does not fit the dataset: a table, a column or a holdout that cannot be."""


class RepositoryError(FeaturesError):
    """The Feast repository is at fault; the message names the file, the line and the fix."""


class EngineError(FeaturesError):
    """The run was stopped (time, memory) or broke for a reason that is not the repository's."""
