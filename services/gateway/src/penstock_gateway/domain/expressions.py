"""What the rules ask of a language of expressions; the language itself is an adapter."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol


class Expression(Protocol):
    """A compiled expression: deterministic, without side effects."""

    def evaluate(self, variables: Mapping[str, Any]) -> Any:
        """Its value as JSON values, maps in the order of their keys.

        Raises `MissingValue` where a field is not there, `InvalidExpression` where a name can
        never be, and `ExpressionError` for everything else.
        """
        ...


Compile = Callable[[str], Expression]
"""From text to expression; raises `InvalidExpression`."""
