"""The doors: whose webhooks come in, where events go out, and the secrets of both."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from penstock.client.aio.noun import AsyncNoun, Moment
from penstock.client.records import Wish


class AsyncSources(AsyncNoun):
    """`client.source`: who may send webhooks."""

    noun = "source"

    async def declare(
        self, name: str, scheme: str, secrets: Sequence[str] = (), **more: Any
    ) -> Wish:
        """Ask for a source, or for a change of it; `more` are further fields of `SourceRequested`.

        `secrets` are names of secrets; without any, the secret has the source's name.
        """
        from penstock_schemas import SourceRequested  # noqa: PLC0415

        request = {"source": name, "scheme": scheme, "secrets": tuple(secrets) or (name,)}
        return await self._ask(SourceRequested.model_validate(request | more))


class AsyncSecrets(AsyncNoun):
    """`client.secret`: values that are written here and read by the platform alone."""

    noun = "secret"

    async def set(self, name: str, value: str, *, keep: bool = False) -> dict[str, Any]:
        """Set a value; its fingerprint comes back. With `keep` the former values open, too, until
        the next time without it."""
        body = json.dumps({"value": value, "keep": keep}).encode()
        headers = {"content-type": "application/json", "idempotency-key": uuid4().hex}
        answer = await self._transport.send(
            "PUT", self._path(name), content=lambda: body, headers=headers
        )
        return dict(answer.json())

    async def delete(self, name: str) -> None:
        """Remove it with all its values. Raises `NotFound`."""
        headers = {"idempotency-key": uuid4().hex}
        await self._transport.send("DELETE", self._path(name), headers=headers)


class AsyncSubscriptions(AsyncNoun):
    """`client.subscription`: which events are sent to whose URL."""

    noun = "subscription"

    async def add(
        self,
        name: str,
        url: str,
        types: Sequence[str],
        *,
        secret: str | None = None,
        ordered: bool = False,
        headers: Mapping[str, str] | None = None,
        paused: bool = False,
    ) -> Wish:
        """Ask for a subscription, for a change of it, or for it to begin anew where it was
        disabled.

        `types` are event types or patterns (`job.*`); `secret` names the secret that signs, the
        subscription's own name without it.
        """
        from penstock_schemas import SubscriptionRequested  # noqa: PLC0415

        return await self._ask(
            SubscriptionRequested(
                subscription=name,
                url=url,
                types=tuple(types),
                secret=secret or name,
                ordered=ordered,
                headers=dict(headers or {}),
                paused=paused,
            )
        )

    async def remove(self, name: str, *, reason: str = "asked for") -> Wish:
        """Ask for its end; what waits is forgotten."""
        from penstock_schemas import SubscriptionRemoveRequested  # noqa: PLC0415

        return await self._ask(SubscriptionRemoveRequested(subscription=name, reason=reason))

    async def replay(
        self,
        name: str,
        *,
        after: int = 0,
        until: int | None = None,
        since: Moment = None,
    ) -> Wish:
        """Ask that what matches in a stretch of the log is sent again, under the same ids.

        `after` and `until` are sequences of the log, `since` is a time.
        """
        from penstock_schemas import SubscriptionReplayRequested  # noqa: PLC0415

        request = {"subscription": name, "after": after, "until": until, "since": since}
        return await self._ask(SubscriptionReplayRequested.model_validate(request))

    async def deliveries(
        self, name: str, *, failed: bool | None = None, after: int = 0, limit: int = 100
    ) -> dict[str, Any]:
        """A page of its tries (`items`, oldest first; `next` is the `after` of the following page)
        and what waits (`outbox`)."""
        flag = None if failed is None else str(failed).lower()
        params = {"failed": flag, "after": after, "limit": limit}
        return dict(await self._transport.get(self._path(name, "delivery"), params))

    async def test(self, name: str) -> dict[str, Any]:
        """Post a delivery of no event now; what came of it."""
        return dict(await self._transport.post(self._path(name, "test")))
