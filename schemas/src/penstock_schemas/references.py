"""Which objects an event names, and whether they are its namespace's own.

The key of an object begins with its namespace (`s3://<bucket>/<namespace>/…`), so an event that
names another's object shows in its text, before anybody has read a byte for it.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, get_args
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel

from penstock_schemas.errors import InvalidEvent
from penstock_schemas.event import Event
from penstock_schemas.nouns.parts import ObjectRef

_NO_SEGMENTS = frozenset({"", ".", ".."})


def key_of(uri: str) -> str:
    """The key of the object that an address `s3://<bucket>/<key>` names."""
    return unquote(urlsplit(uri).path.lstrip("/"))


def is_own(uri: str, namespace: str) -> bool:
    """Whether an address lies below the namespace, whatever a server makes of `..` or `//`."""
    segments = key_of(uri).split("/")
    return segments[0] == namespace and len(segments) > 1 and _NO_SEGMENTS.isdisjoint(segments)


def check_own(uri: str, namespace: str, bucket: str) -> None:
    """Raise `ValueError` where an address names, in the platform's own bucket, an object of
    another namespace."""
    if urlsplit(uri).netloc.lower() == bucket.lower() and not is_own(uri, namespace):
        raise ValueError(f"{uri[:200]} is an object of another namespace than {namespace}")


def references(event: Event) -> Iterator[tuple[str, ObjectRef]]:
    """Every object that an event names, by its field, dotted."""
    if _names_objects(type(event)):
        yield from _inside(event, "")


def check_references(event: Event, namespace: str) -> None:
    """Raise `InvalidEvent` where an event names an object of another namespace."""
    for field, reference in references(event):
        if not is_own(reference.uri, namespace):
            problem = f"{reference.uri[:200]} is no object of {namespace}: upload it there"
            path = f"{field}.uri"
            raise InvalidEvent(f"{event.type} is not valid: {path}: {problem}", ((path, problem),))


def _inside(value: Any, field: str) -> Iterator[tuple[str, ObjectRef]]:
    if isinstance(value, ObjectRef):
        yield field, value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _inside(getattr(value, name), f"{field}.{name}" if field else name)
    elif isinstance(value, Mapping):
        for name, part in value.items():
            yield from _inside(part, f"{field}.{name}")
    elif isinstance(value, tuple):
        for number, part in enumerate(value):
            yield from _inside(part, f"{field}.{number}")


@cache
def _names_objects(contract: Any) -> bool:
    """Whether a contract has a place for a reference: most have none, and are not searched."""
    if isinstance(contract, type) and issubclass(contract, BaseModel):
        fields = contract.model_fields.values()
        annotations: list[Any] = [field.annotation for field in fields]
        return contract is ObjectRef or any(map(_names_objects, annotations))
    return any(_names_objects(part) for part in get_args(contract) if not isinstance(part, str))
