"""What applying documents changes: what is declared now against what shall be. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from penstock.client.documents import Declaration
from penstock.client.records import Published

Action = Literal["create", "change", "unchanged", "upload"]
"""`upload`: a change only where what it uploads is not what is there (a dry run cannot know)."""


class Difference(NamedTuple):
    """One field that changes; None: it is not there."""

    field: str
    before: Any
    after: Any


@dataclass(frozen=True)
class Change:
    """One document against what is declared."""

    declaration: Declaration
    namespace: str
    before: Mapping[str, Any] | None
    """The declared fields, None where nothing is declared."""
    tag: str | None
    """The entity tag of what is declared."""
    published: Published | None = None
    """The wish, once it is sent."""
    problem: str = ""
    """Why it could not be sent."""
    refusal: str = ""
    """Why what was asked for last was refused, where it was: it does not stand."""

    @property
    def action(self) -> Action:
        """What there is to do."""
        if self.before is None:
            return "create"
        differences = self.differences()
        if not differences:
            return "unchanged"
        pending = [".".join(map(str, one.path)) for one in self.declaration.uploads]
        only = all(any(d.field.startswith(p) for p in pending) for d in differences)
        return "upload" if only else "change"

    @property
    def after(self) -> dict[str, Any]:
        """The fields as the document wants them."""
        event = self.declaration.event
        fields = event.model_dump(mode="json")
        fields.pop(event.key)
        return fields

    def differences(self) -> list[Difference]:
        """Every field that changes, defaults included only where something else stood."""
        if self.before is not None:
            return list(_differences("", self.before, self.after))
        shown = self.declaration.event.model_dump(mode="json", exclude_defaults=True)
        shown.pop(self.declaration.event.key, None)
        return list(_differences("", {}, shown))

    def document(self) -> dict[str, Any]:
        """For machines."""
        return {
            "kind": self.declaration.kind,
            "name": self.declaration.name,
            "namespace": self.namespace,
            "action": self.action,
            "differences": [one._asdict() for one in self.differences()],
            "published": self.published._asdict() if self.published else None,
            "problem": self.problem or None,
            "refusal": self.refusal or None,
        }


def _differences(at: str, before: Any, after: Any) -> Iterator[Difference]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in [*before, *(one for one in after if one not in before)]:
            yield from _differences(
                f"{at}.{name}" if at else str(name), before.get(name), after.get(name)
            )
    elif before != after or isinstance(before, bool) != isinstance(after, bool):
        yield Difference(at, before, after)
