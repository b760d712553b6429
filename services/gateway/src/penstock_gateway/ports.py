"""What the gateway asks of the world beside the ports of the chassis."""

from collections.abc import Awaitable, Callable, Mapping
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


class SignatureVerifier(Protocol):
    """Checks Standard Webhooks signatures against one sender's keys."""

    def verify(self, body: bytes, headers: Mapping[str, str]) -> bool:
        """Whether one of the keys signed this body under these headers; in constant time."""
        ...


class Server(Protocol):
    """Serves an ASGI application until it is cancelled, then drains."""

    async def serve(self, app: Any, on_stop: Callable[[], Awaitable[None]]) -> None:
        """Serve for ever. On cancellation: no new connections, `on_stop`, the rest within a
        bound."""
        ...
