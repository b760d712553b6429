"""What the gateway asks of the world beside the ports of the chassis."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol


class SignatureVerifier(Protocol):
    """Checks the signatures of one sender's deliveries."""

    def verify(self, body: bytes, headers: Mapping[str, str]) -> bool:
        """Whether one of the sender's keys signed this body under these headers (names in lower
        case); in constant time."""
        ...


class Server(Protocol):
    """Serves an ASGI application."""

    async def serve(self, app: Any, on_stop: Callable[[], None]) -> None:
        """Serve until cancelled; then accept nothing new, call `on_stop`, and finish what is in
        hand within a bound."""
        ...
