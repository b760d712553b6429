"""Secrets at hand: read from the store once, and again when the log says that one changed."""

from collections.abc import Sequence

from penstock_chassis.fold import Fold
from penstock_chassis.ports import Secrets
from penstock_gateway.domain.sources import SourceBook

KEPT_MAX = 10_000
"""Secrets kept in memory; past it all are read anew."""


class Keyring:
    """The values of secrets, as fresh as the fold of the log.

    A change is written to the store before its event is appended, so that whoever sees the event
    reads the new value.
    """

    def __init__(self, secrets: Secrets, book: Fold[SourceBook]) -> None:
        self._secrets = secrets
        self._book = book
        self._kept: dict[tuple[str, str], tuple[int, tuple[str, ...]]] = {}

    async def values(self, namespace: str, names: Sequence[str]) -> list[str]:
        """Every value that opens, of all the secrets named; raises `Unavailable`, `Sealed`."""
        return [value for name in names for value in await self._values(namespace, name)]

    async def _values(self, namespace: str, name: str) -> tuple[str, ...]:
        key = (namespace, name)
        changed = self._book.state.secrets.get(key, 0)
        if not changed:
            self._kept.pop(key, None)
            return ()
        kept = self._kept.get(key)
        if kept is not None and kept[0] == changed:
            return kept[1]
        values = await self._secrets.get(namespace, name)
        if len(self._kept) >= KEPT_MAX:
            self._kept.clear()
        self._kept[key] = (changed, values)
        return values
