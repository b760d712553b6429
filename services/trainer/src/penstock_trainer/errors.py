"""What can go wrong in the trainer."""

from __future__ import annotations


class TrainerError(Exception):
    """The trainer cannot do what was asked."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__class__.__doc__)


class InvalidAttempt(TrainerError):
    """The attempt's description is not valid: the message names the field and the fix."""


class NotYetGone(TrainerError):
    """The attempt, or an earlier one of the job, still runs: wait for its end, then ask again."""


class Superseded(TrainerError):
    """A later attempt of the job exists, so this one must never start."""


class StartFailed(TrainerError):
    """The attempt's runner could not be started: no claim was made, so start it again."""


class InvalidReport(TrainerError):
    """What the script reported is not valid: the message names the field and the fix."""
