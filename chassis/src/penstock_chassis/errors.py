"""What can go wrong on the bus, and what a handler may say about a message.

A handler ends in one of six ways: it returns (acknowledge), it raises `Retry` (redeliver after
a delay), `Unavailable` (a server is away: redeliver with back-off for as long), `Reject` (to the
dead letters, with the reason), `Conflict` (somebody else appended first: decide again), or anything
else (redeliver with back-off, dead letter after the last try).
"""


class ChassisError(Exception):
    """The chassis could not do what was asked."""


class Retry(ChassisError):
    """Not yet: deliver the message again after `after_seconds`. `reason` says what is awaited."""

    def __init__(self, after_seconds: float, reason: str) -> None:
        super().__init__(reason)
        self.after_seconds = after_seconds


class Reject(ChassisError):
    """Never: the message goes to the dead letters with this reason."""


class Conflict(ChassisError):
    """The aggregate moved on: its last sequence is not the expected one.

    `sequence` is the aggregate's last sequence where the log said it, else None.
    """

    def __init__(self, message: str, sequence: int | None = None) -> None:
        super().__init__(message)
        self.sequence = sequence


class Unavailable(ChassisError):
    """A server did not answer in time; the call may or may not have taken effect."""


class TooLarge(ChassisError):
    """The message is larger than the bus carries; put the data into the object store."""


class NotFound(ChassisError):
    """There is no such object, key or message."""


class DigestMismatch(ChassisError):
    """Stored bytes are not what their digest says; they are never handed out."""


class Sealed(ChassisError):
    """A secret was sealed under a key that is not in the key file."""
