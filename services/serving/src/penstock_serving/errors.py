"""What serving refuses, and why. Statuses of HTTP appear only in the adapters that map these."""


class ServingError(Exception):
    """Serving could not do what was asked."""

    def __init__(self, reason: str | None = None) -> None:
        super().__init__(reason or type(self).__doc__)

    @property
    def reason(self) -> str:
        """The sentence that a person can act on."""
        return str(self.args[0])


class InvalidRequest(ServingError):
    """The inference request is not valid."""


class Unsupported(ServingError):
    """The request asks for a part of the protocol that this server does not speak."""


class NotFound(ServingError):
    """There is no such endpoint, model or version."""


class Unavailable(ServingError):
    """No revision is ready to answer; ask again later."""


class Overloaded(ServingError):
    """Too many requests are waiting for this revision; ask again later."""


class InferenceFailed(ServingError):
    """The model raised an error, or its process died each time it saw this input."""


class InvalidModel(ServingError):
    """The model's folder cannot be served."""


class StartFailed(ServingError):
    """The revision could not be made ready."""


class RevisionConflict(ServingError):
    """The revision's id is taken by another model, or its state does not allow this step."""
