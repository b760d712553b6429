"""Which ports a server takes: those asked for, else those of the last run, else free ones."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from penstock_chassis.embedded import loopback
from penstock_chassis.embedded.errors import PortBusyError
from penstock_chassis.embedded.files import write_private


class PortMemory:
    """The ports of the last run of a data directory, by role, in one small file.

    `offsets`: a port p is free only where p + offset is free for each of them.
    """

    def __init__(self, path: Path, *, offsets: Iterable[int] = (0,)) -> None:
        self._path = path
        self._offsets = tuple(offsets)

    def resolve(self, fixed: Mapping[str, int | None]) -> dict[str, int]:
        """A port for every role; `fixed` holds the number asked for, or None for any.

        Raises PortBusyError where a port asked for is taken, saying by whom.
        """
        chosen: dict[str, int] = {}
        for role, port in fixed.items():
            if port is not None:
                self._check(role, port)
                chosen[role] = port
        last = self._last()
        for role, port in fixed.items():
            previous = last.get(role)
            if port is not None or previous is None or previous in chosen.values():
                continue
            if self._free(previous):
                chosen[role] = previous
        missing = [role for role in fixed if role not in chosen]
        found = loopback.choose(len(missing), offsets=self._offsets, avoid=chosen.values())
        return {**chosen, **dict(zip(missing, found, strict=True))}

    def all_free(self, ports: Mapping[str, int]) -> bool:
        """Whether every one of these ports could be taken now."""
        return all(self._free(port) for port in ports.values())

    def remember(self, ports: Mapping[str, int]) -> None:
        """Keep the ports for the next run."""
        write_private(self._path, json.dumps(dict(ports), indent=2))

    def _check(self, role: str, port: int) -> None:
        for offset in self._offsets:
            if not loopback.is_free(port + offset):
                holder = loopback.describe_holder(port + offset)
                raise PortBusyError(
                    f"port {port + offset} for {role} is already in use by {holder}",
                    hint="stop that process, name another port, or leave the port out to get a "
                    "free one; a forgotten platform is stopped by `penstock down`",
                )

    def _free(self, port: int) -> bool:
        return all(loopback.is_free(port + offset) for offset in self._offsets)

    def _last(self) -> dict[str, int]:
        try:
            return {
                str(role): int(port) for role, port in json.loads(self._path.read_text()).items()
            }
        except (FileNotFoundError, ValueError, TypeError, AttributeError):
            return {}
