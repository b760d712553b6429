"""Which objects an event names, and whether they are its namespace's own.

The key of an object begins with its namespace (`s3://<bucket>/<namespace>/…`), so an event that
names another's object shows in its text, before anybody has read a byte for it.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel

from penstock_schemas.errors import InvalidEvent
from penstock_schemas.event import Event, event_types
from penstock_schemas.nouns.parts import ObjectRef
from penstock_schemas.nouns.trigger import TriggerRequested

TEMPLATE = "${"
"""Where an expression begins in what a trigger asks for."""
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
    """Raise `InvalidEvent` where an event names an object of another namespace; a trigger, where
    what it asks for would. What a template computes is seen once it is computed."""
    named = ((field, reference.uri) for field, reference in references(event))
    for field, uri in _asked(event) if isinstance(event, TriggerRequested) else named:
        if not _may_be_own(uri, namespace):
            problem = f"{uri[:200]} is no object of {namespace}: upload it there"
            path = f"{field}.uri"
            raise InvalidEvent(f"{event.type} is not valid: {path}: {problem}", ((path, problem),))


def _may_be_own(uri: str, namespace: str) -> bool:
    """Whether an address, or what a template says of one, can be the namespace's."""
    plain, template, _ = uri.partition(TEMPLATE)
    if not template:
        return is_own(uri, namespace)
    owner, slash, _ = key_of(plain).partition("/")
    return not slash or owner == namespace


def _asked(event: TriggerRequested) -> Iterator[tuple[str, str]]:
    """What a trigger names in plain words: the address of each object, by its field."""
    type, data, field = event.do.type, event.do.data, "do.data"
    while type == TriggerRequested.type:  # it sets up another trigger
        action: Any = data.get("do")
        if not isinstance(action, Mapping) or not isinstance(action.get("data"), Mapping):
            return
        type, data, field = str(action.get("type")), action["data"], f"{field}.do.data"
    contract = event_types().get(type)
    if contract is not None:
        yield from _written(contract, data, field)


def _written(contract: Any, value: Any, field: str) -> Iterator[tuple[str, str]]:
    """Addresses in the places of a raw value where its contract has references."""
    if not _names_objects(contract):
        return
    if contract is ObjectRef:
        if isinstance(value, Mapping) and isinstance(value.get("uri"), str):
            yield field, value["uri"]
        return
    if isinstance(contract, type) and issubclass(contract, BaseModel):
        for name, info in contract.model_fields.items():
            if isinstance(value, Mapping) and name in value:
                yield from _written(info.annotation, value[name], f"{field}.{name}")
        return
    for part in get_args(contract):
        if get_origin(contract) in (Annotated, Union, UnionType):
            yield from _written(part, value, field)
        elif isinstance(value, Mapping):
            for name, inner in value.items():
                yield from _written(part, inner, f"{field}.{name}")
        elif isinstance(value, list | tuple):
            for number, inner in enumerate(value):
                yield from _written(part, inner, f"{field}.{number}")


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
