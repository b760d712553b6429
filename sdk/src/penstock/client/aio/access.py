"""`client.namespaces`, `client.member`, `client.token`, `client.credential`: who may do what."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from penstock.client.aio.noun import AsyncNoun

DAY_SECONDS = 86_400.0


class AsyncNamespaces(AsyncNoun):
    """`client.namespaces`: namespaces that documents set up. Each lives in itself.

    In the plural: `client.namespace` is the client's own.
    """

    noun = "namespace"

    def _path(self, *parts: str) -> str:
        if not parts:
            return super()._path()
        return "/".join(["/v1", quote(parts[0], safe=""), self.noun, *map(quote, parts)])


class AsyncMembers(AsyncNoun):
    """`client.member`: which account has which role in the namespace."""

    noun = "member"

    async def add(self, account: str, role: str) -> dict[str, Any]:
        """Give an account the role `viewer`, `editor` or `admin`, whatever it had before."""
        return dict(await self._transport.put(self._path(account), {"role": role}))

    async def remove(self, account: str) -> None:
        """End an account's role, and with it its tokens here."""
        await self._transport.send("DELETE", self._path(account))


class AsyncTokens(AsyncNoun):
    """`client.token`: API tokens, by what they are for; never the tokens themselves."""

    noun = "token"

    async def create(
        self,
        *,
        account: str | None = None,
        role: str = "viewer",
        expires_days: float = 90.0,
        description: str = "",
        namespaces: tuple[str, ...] = (),
    ) -> dict[str, Any]:
        """Make a token of one's own or, as an admin, of another member.

        Its `secret` is told this once. `namespaces` is for tokens of `system`.
        """
        body: dict[str, Any] = {
            "role": role,
            "expires_in_seconds": expires_days * DAY_SECONDS,
            "description": description,
        }
        if account is not None:
            body["account"] = account
        if namespaces:
            body["namespaces"] = list(namespaces)
        return dict(await self._transport.post(self._path(), body))

    async def revoke(self, id: str, *, reason: str = "") -> None:
        """Refuse a token from now on."""
        await self._transport.send("DELETE", self._path(id), params={"reason": reason or None})


class AsyncCredentials(AsyncNoun):
    """`client.credential`: key pairs that open the bus or the object store, in the namespace."""

    noun = "credential"

    async def create(
        self, *, kind: str = "nats", role: str = "viewer", description: str = ""
    ) -> dict[str, Any]:
        """Make one for the bus (`nats`) or the object store (`s3`); its `seed`, or its
        `secret_key`, is told this once."""
        body = {"kind": kind, "role": role, "description": description}
        return dict(await self._transport.post(self._path(), body))

    async def export(self, server: str) -> dict[str, Any]:
        """The accounts of all namespaces, for a server that the platform did not start: `nats`,
        `seaweedfs` (with secret keys) or `iam` (policies). For administrators of the platform."""
        return dict(await self._transport.get(f"/v1/platform/accounts/{quote(server, safe='')}"))

    async def revoke(self, id: str, *, reason: str = "") -> None:
        """Refuse it from now on."""
        await self._transport.send("DELETE", self._path(id), params={"reason": reason or None})
