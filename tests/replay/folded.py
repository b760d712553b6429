"""What every service knows after a history, as JSON: the folds of the services as they are built.

Of every service it is the whole folded state, and of the gateway beside its triggers and sources
what it shows, the rows of all nouns. Each fold gets only the messages of its own nouns, as on the
bus.
"""

import asyncio
import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from penstock_chassis.discovery import installed_names, load_service
from penstock_chassis.fold import Fold
from penstock_chassis.message import read_recorded
from penstock_chassis.ports import StoredMessage
from penstock_chassis.testing import SimWorld
from penstock_gateway.adapters.cel import compile_cel
from penstock_gateway.domain.read_model import ReadModel
from penstock_gateway.domain.trigger_book import TriggerBook
from penstock_gateway.domain.trigger_checks import fault_of
from penstock_gateway.domain.trigger_folding import Folding
from penstock_gateway.handlers.judging import Judging
from penstock_gateway.handlers.rows import RowsAsOf
from penstock_gateway.nouns import PROJECTION, VIEWS
from penstock_schemas import InvalidSubject, SchemaError, parse_subject

SNAPSHOTS = Path(__file__).parent / "snapshots"


def folded(history: Sequence[StoredMessage]) -> dict[str, str]:
    """By service: the text of its snapshot."""
    states = {name: _folds(name, history) for name in installed_names()}
    states["gateway"] = {
        "triggers": _triggers(history),
        "sources": states["gateway"]["sources"],
        **_rows(history),
    }
    return {name: _text(state) for name, state in states.items()}


def _triggers(history: Sequence[StoredMessage]) -> Any:
    """The book of triggers: judged as the gateway does, and nothing said."""
    log = SimWorld().ports("gateway").log
    book = TriggerBook()
    folding = Folding(book, partial(fault_of, compile=compile_cel), compile_cel)
    judging = Judging(folding, compile_cel, RowsAsOf(log, VIEWS), log)

    async def judge() -> None:
        for message in history:
            await judging.take(message)

    asyncio.run(judge())
    return plain(book)


def _folds(name: str, history: Sequence[StoredMessage]) -> Any:
    """The state of a service's folds, each field of them by its name."""
    spec = load_service(name)
    with tempfile.TemporaryDirectory() as work:
        service = spec.build(spec.settings(work_dir=Path(work)), SimWorld().ports(name))
    for fold in service.folds:
        for message in _of(fold, history):
            fold.apply(message)
    first, *others = (plain(fold.state) for fold in service.folds)
    for other in others:
        first |= other
    return first


def _rows(history: Sequence[StoredMessage]) -> dict[str, Any]:
    model = ReadModel()
    for message in history:
        with suppress(SchemaError):  # as the gateway does
            PROJECTION.evolve(model, read_recorded(message))
    return {"position": model.position, "rows": plain(model.rows)}


def _of(fold: Fold[Any], history: Sequence[StoredMessage]) -> Iterable[StoredMessage]:
    for message in history:
        try:
            noun = parse_subject(message.subject).noun
        except InvalidSubject:
            continue
        if noun in fold.nouns:
            yield message


def _text(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def plain(value: Any) -> Any:
    """A state as JSON values. Maps keep their order (it is part of the state), sets have none;
    a key of several parts is written with slashes. Raises `TypeError` for what is neither."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {_key(key): plain(one) for key, one in value.items()}
    if isinstance(value, set | frozenset):
        return sorted((plain(one) for one in value), key=json.dumps)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [plain(one) for one in value]
    return _scalar(value)


def _scalar(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, datetime):
        return value.isoformat()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{type(value).__name__} has no form in a snapshot: teach it to `plain`")


def _key(key: Any) -> str:
    if isinstance(key, tuple):
        return "/".join(map(_key, key))
    return str(_scalar(key))
