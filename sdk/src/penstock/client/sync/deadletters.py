# Generated from client/aio by generate_sync.py; edit that, and run it again.
"""The dead letters; they are no noun: nobody asks for one, and their ids are positions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from penstock.client.errors import NotFound

if TYPE_CHECKING:
    from penstock.client.sync.client import Client


class DeadLetters:
    """`client.deadletter`: messages that no try could handle, of every namespace."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def list(self) -> Sequence[dict[str, Any]]:
        """All of them, oldest first."""
        return list((self._client.transport.get("/v1/deadletter"))["items"])

    def get(self, position: int) -> dict[str, Any]:
        """One, with its traceback and payload. Raises `NotFound`."""
        for letter in self.list():
            if letter["position"] == position:
                return letter
        raise NotFound(f"there is no dead letter {position}", hint="penstock deadletter ls")

    def retry(self, position: int) -> dict[str, Any]:
        """Append the message again and drop the letter."""
        return dict(self._client.transport.post(f"/v1/deadletter/{position}/retry"))

    def drop(self, position: int) -> None:
        """Throw it away."""
        self._client.transport.send("DELETE", f"/v1/deadletter/{position}")
