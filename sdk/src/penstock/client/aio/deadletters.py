"""The dead letters; they are no noun: nobody asks for one, and their ids are positions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from penstock.client.errors import NotFound

if TYPE_CHECKING:
    from penstock.client.aio.client import AsyncClient


class AsyncDeadLetters:
    """`client.deadletter`: messages that no try could handle, of every namespace."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def list(self) -> Sequence[dict[str, Any]]:
        """All of them, oldest first."""
        return list((await self._client.transport.get("/v1/deadletter"))["items"])

    async def get(self, position: int) -> dict[str, Any]:
        """One, with its traceback and payload. Raises `NotFound`."""
        for letter in await self.list():
            if letter["position"] == position:
                return letter
        raise NotFound(f"there is no dead letter {position}", hint="penstock deadletter ls")

    async def retry(self, position: int) -> dict[str, Any]:
        """Append the message again and drop the letter."""
        return dict(await self._client.transport.post(f"/v1/deadletter/{position}/retry"))

    async def drop(self, position: int) -> None:
        """Throw it away."""
        await self._client.transport.send("DELETE", f"/v1/deadletter/{position}")
