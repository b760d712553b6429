"""The children of a platform, written down so that the next one can clear up after a crash.

`run/children.json` holds a name and an identity (pid with start time) for every running child. A
child normally dies with its parent by the kernel's hand (see `process.py`); this record is the
second line, for systems without that, and for the moment in which both are still dying.
"""

from __future__ import annotations

import json
from pathlib import Path

from penstock_chassis.embedded.files import write_private
from penstock_chassis.embedded.identity import ProcessIdentity, terminate

STALE_GRACE_SECONDS = 5.0
"""`weed` needs about 2.4 s for an orderly end."""


class ChildRegistry:
    """The file of running children. One writer: the holder of the data directory's lock."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def record(self, name: str, pid: int) -> None:
        """Remember a child just started; replaces the earlier child of the same name."""
        identity = ProcessIdentity.of(pid)
        if identity is not None:
            self._save({**self.read(), name: identity})

    def forget(self, name: str) -> None:
        """The child ended and was waited for."""
        children = self.read()
        if children.pop(name, None) is not None:
            self._save(children)

    def read(self) -> dict[str, ProcessIdentity]:
        """The recorded children by name; an absent or torn file records none."""
        try:
            raw = json.loads(self._path.read_text())
            return {
                name: ProcessIdentity(int(child["pid"]), str(child["started"]))
                for name, child in raw.items()
            }
        except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
            return {}

    def terminate_stale(self, *, grace_seconds: float = STALE_GRACE_SECONDS) -> list[str]:
        """End what a crashed run left behind and clear the record; the names that were ended."""
        ended = [
            name
            for name, identity in self.read().items()
            if terminate(identity, grace_seconds=grace_seconds)
        ]
        self._save({})
        return ended

    def _save(self, children: dict[str, ProcessIdentity]) -> None:
        entries = {n: {"pid": c.pid, "started": c.started} for n, c in children.items()}
        write_private(self._path, json.dumps(entries, indent=2))
