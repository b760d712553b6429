"""Fakes of the gateway's own ports, and a sender of webhooks."""

import asyncio
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from standardwebhooks import Webhook


class InProcessServer:
    """`Server` that hands the application to whoever asks, as long as it serves it."""

    def __init__(self) -> None:
        self.app: Any = None
        self.serving = asyncio.Event()

    async def serve(self, app: Any, on_stop: Callable[[], None]) -> None:
        """See `Server.serve`."""
        self.app = app
        self.serving.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.app = None
            self.serving.clear()
            on_stop()


def signed(
    secret: str, delivery: str, document: Any, now: datetime
) -> tuple[bytes, dict[str, str]]:
    """The body and the headers of a delivery, as a sender of Standard Webhooks makes them."""
    body = json.dumps(document)
    headers: Mapping[str, str] = {
        "content-type": "application/json",
        "webhook-id": delivery,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(delivery, now, body),
    }
    return body.encode(), dict(headers)
