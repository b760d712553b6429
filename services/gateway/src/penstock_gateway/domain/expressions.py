"""What the rules ask of a language of expressions; the language itself is an adapter."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from penstock_gateway.domain.expression_reach import Reach


class Expression(Protocol):
    """A compiled expression: deterministic, without side effects, bounded in what it costs."""

    @property
    def names(self) -> frozenset[str]:
        """The variables that it may read."""
        ...

    @property
    def reach(self) -> Reach:
        """The parts of them that it may read."""
        ...

    def evaluate(self, variables: Mapping[str, Any]) -> Any:
        """Its value as JSON values, maps in the order of their keys.

        Raises `MissingValue` where a field is not there, `InvalidExpression` where a name can
        never be, and `ExpressionError` for everything else, too much work among it.
        """
        ...


Compile = Callable[[str], Expression]
"""From text to expression; raises `InvalidExpression`."""
