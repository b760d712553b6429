# Generated from client/aio by generate_sync.py; edit that, and run it again.
"""Applying documents: reading what is declared, comparing, and writing only what differs.

Each write carries the tag of what it was compared with, so nobody's change in between is lost,
and an idempotency key, so it may be tried again. Nothing is written where any document is not
valid: documents describe one intended state together, and half of it may be worse than none (a
trigger without its queue); what was valid is in its file still. Valid documents are written one
by one, and one that the platform refuses does not hold up the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from penstock.client.changes import Change
from penstock.client.documents import (
    Declaration,
    InvalidDocuments,
    Upload,
    declaration_of,
    read_mapping,
    twice,
)
from penstock.client.errors import NotFound, Refused
from penstock.client.files import source_files
from penstock.client.records import Published

if TYPE_CHECKING:
    from penstock.client.sync.client import Client
    from penstock_schemas import Event, ObjectRef


def plan(
    client: Client,
    documents: Iterable[Mapping[str, Any] | Event | Declaration],
    *,
    upload: bool = True,
) -> list[Change]:
    """What applying would change. Files that documents name are uploaded, unless told not to:
    objects are content, and change nothing. Raises `InvalidDocuments` with every fault."""
    found: list[Declaration] = []
    faults = []
    for one in documents:
        try:
            found.append(_declaration(one))
        except InvalidDocuments as error:
            faults += error.faults
    faults += twice(found)
    if faults:
        raise InvalidDocuments(faults)
    return [_change(client, one, upload) for one in found]


def send(client: Client, changes: Sequence[Change]) -> list[Change]:
    """Write what differs; each change says what became of it. Raises `Unavailable`."""
    return [one if one.action == "unchanged" else _send(client, one) for one in changes]


def _declaration(given: Mapping[str, Any] | Event | Declaration) -> Declaration:
    if isinstance(given, Declaration):
        return given
    if isinstance(given, Mapping):
        return read_mapping(given)
    if not given.declarative:
        raise Refused(f"{given.type} declares nothing", hint="publish it: client.publish(event)")
    return declaration_of(given)


def _change(client: Client, declaration: Declaration, upload: bool) -> Change:
    namespace = declaration.namespace or client.namespace
    if declaration.uploads and upload:
        declaration = _uploaded(client, declaration)
    try:
        standing = client.transport.get(_path(namespace, declaration.kind, declaration.name))
    except NotFound as absent:
        return Change(declaration, namespace, None, None, refusal=absent.refusal)
    refusal = str(standing.get("refusal") or "")
    tag = f'"{standing["sequence"]}"'
    return Change(declaration, namespace, standing["fields"], tag, refusal=refusal)


def _uploaded(client: Client, declaration: Declaration) -> Declaration:
    """The declaration with references in the place of what was to be uploaded."""
    payload = declaration.event.model_dump(mode="json")
    for one in declaration.uploads:
        into: Any = payload
        for word in one.path[:-1]:
            into = into[word]
        into[one.path[-1]] = (_reference(client, one)).model_dump(mode="json")
    event = type(declaration.event).model_validate(payload)
    return replace(declaration, event=event, uploads=())


def _reference(client: Client, one: Upload) -> ObjectRef:
    if one.as_folder:
        return client.upload_files(source_files(one.source))
    return client.upload(one.source)


def _send(client: Client, change: Change) -> Change:
    from penstock_schemas import new_id  # noqa: PLC0415

    condition = {"if-none-match": "*"} if change.tag is None else {"if-match": change.tag}
    path = _path(change.namespace, change.declaration.kind, change.declaration.name)
    try:
        answer = client.transport.put(
            path, change.after, {**condition, "idempotency-key": new_id()}
        )
    except Refused as error:
        again = "; it was changed meanwhile: apply again" if error.status == 412 else ""
        return replace(change, problem=f"{error}{again}")
    if "duplicate" not in answer:  # it is so already: somebody else was first
        return change
    return replace(
        change, published=Published(answer["id"], int(answer["sequence"]), answer["duplicate"])
    )


def _path(namespace: str, noun: str, name: str) -> str:
    return f"/v1/{namespace}/{noun}/{quote(name, safe='')}/declaration"
