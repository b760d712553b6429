"""What can go wrong with the embedded servers, each with the next step to take."""

from __future__ import annotations


class EmbeddedError(Exception):
    """An embedded server, its data directory or its supervision failed.

    `hint` is one line that says what to do next; the command line prints it after the message.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message}\nhint: {self.hint}" if self.hint else message


class BinaryNotFoundError(EmbeddedError):
    """The executable of an embedded server is not installed."""


class PortBusyError(EmbeddedError):
    """A port that was asked for by number is already taken."""


class DirectoryBusyError(EmbeddedError):
    """Another live process holds the data directory."""


class NotReadyError(EmbeddedError):
    """A server exited, or did not answer, before its deadline; carries its last log lines."""
