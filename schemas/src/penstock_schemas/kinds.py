"""Kinds: the nouns whose things are declared, and the documents that declare them.

A document is what a person writes in a file, and what `penstock get -o yaml` prints:

    kind: queue
    name: research
    cpu_quota: 8

It holds the fields of the noun's declarative event (`queue.requested`) beside `kind`, `name` (the
event's key) and, where the file itself says it, `namespace`. A noun becomes a kind by
`declarative = True` in the class of that event; nothing else has a list of kinds.

It is a wish that anybody may append, but for `namespace.configured`, which the gateway appends for
those who may decide over members.
"""

from collections.abc import Mapping
from typing import Any

from penstock_schemas.errors import SchemaError
from penstock_schemas.event import Event, event_types

KIND, NAME, NAMESPACE = RESERVED = ("kind", "name", "namespace")
"""The words of a document that are no fields of the event."""

Document = Mapping[str, Any]


class UnknownKind(SchemaError):
    """Nothing of this kind can be declared."""


def kinds() -> Mapping[str, type[Event]]:
    """The declarative event of every kind. Raises `TypeError` for one that cannot be."""
    found: dict[str, type[Event]] = {}
    for cls in event_types().values():
        if not cls.declarative:
            continue
        taken = (set(RESERVED) & set(cls.model_fields)) - {cls.key}
        if taken or cls.noun() in found:
            problem = f"a field {sorted(taken)}" if taken else "two declarative events"
            raise TypeError(f"the kind {cls.noun()} cannot have {problem}")
        found[cls.noun()] = cls
    return found


def kind_class(kind: str) -> type[Event]:
    """The declarative event of a kind; raises `UnknownKind`."""
    known = kinds()
    if kind not in known:
        raise UnknownKind(f"there is no kind {kind[:80]!r}; one of: {', '.join(known)}")
    return known[kind]


def lives_in_itself(cls: type[Event]) -> bool:
    """Whether things of this kind live in the namespace of their own name: namespaces do."""
    return cls.key == NAMESPACE


def payload_of(document: Document) -> dict[str, Any]:
    """The payload of the event that a document stands for; raises `UnknownKind`."""
    cls = kind_class(str(document.get(KIND)))
    fields = {name: value for name, value in document.items() if name not in RESERVED}
    return {cls.key: document.get(NAME), **fields}


def document_of(event: Event) -> dict[str, Any]:
    """The shortest document that declares what an event declares: defaults are left out."""
    fields = event.model_dump(mode="json", exclude_defaults=True)
    fields.pop(event.key, None)
    return {KIND: event.noun(), NAME: event.id, **fields}
