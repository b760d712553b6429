"""What can go wrong in the gateway."""


class GatewayError(Exception):
    """The gateway could not do what was asked."""


class ExpressionError(GatewayError):
    """An expression cannot be read or evaluated. `kind` says which way it failed."""


class InvalidExpression(ExpressionError):
    """The text is not an expression, or names what can never be there."""


class MissingValue(ExpressionError):
    """The expression asks for a field or element that this event does not have."""


class HistoryTooLong(GatewayError):
    """The log up to the time asked for could not be folded in the time allowed."""


class Superseded(GatewayError):
    """The rows have moved on: another process committed to them, or they were replaced."""


class InvalidTrigger(GatewayError):
    """A declaration of a trigger could never work: the field, what is wrong, what to do."""

    def __init__(self, field: str, reason: str, fix: str) -> None:
        super().__init__(reason)
        self.field, self.reason, self.fix = field, reason, fix
