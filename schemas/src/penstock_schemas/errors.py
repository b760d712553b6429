"""What can go wrong when a message is read."""


class SchemaError(ValueError):
    """The message does not fit its contract."""


class UnknownType(SchemaError):
    """No contract has this type and version."""


class InvalidEvent(SchemaError):
    """The payload does not fit the contract of its type.

    `fields` lists `(path, problem)` pairs, one for each field at fault; at most
    the first hundred, and no text of the sender's longer than 200 characters.
    """

    def __init__(self, message: str, fields: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message)
        self.fields = fields


class InvalidSubject(SchemaError):
    """The subject is not `penstock.<namespace>.<noun>.<verb>.<id>`."""


class InvalidEnvelope(SchemaError):
    """The CloudEvents headers contradict each other or the subject."""
