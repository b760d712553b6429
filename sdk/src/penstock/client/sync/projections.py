# Generated from client/aio by generate_sync.py; edit that, and run it again.
"""The projections: what the platform shows, made from its log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.client.sync.client import Client

REBUILD_SECONDS_MAX = 3600.0
"""How long a rebuild may take; ten thousand events or so a second."""


class Projections:
    """`client.projection`: how far each is, and rebuilding them."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def list(self) -> Sequence[dict[str, Any]]:
        """Each with its position, its lag behind the log, and its number of rows."""
        return list((self._client.transport.get("/v1/projection"))["items"])

    def rebuild(self, timeout_seconds: float = REBUILD_SECONDS_MAX) -> dict[str, Any]:
        """Make the rows once more from the whole log, compare them with what was shown, and show
        the rebuilt ones: `equal`, and the first `differences`. Raises `Refused` while another
        rebuild is under way."""
        return dict(
            self._client.transport.post("/v1/projection/rebuild", timeout_seconds=timeout_seconds)
        )
