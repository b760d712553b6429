"""What the platform answers: rows of views, events of the log, and receipts of what was asked."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from penstock.client.errors import PenstockError

if TYPE_CHECKING:
    from penstock_schemas import Event


class Published(NamedTuple):
    """The receipt of an event that is durable in the log.

    `duplicate` says that the same id was there already and nothing was added.
    """

    id: str
    sequence: int
    duplicate: bool = False


class Wish(NamedTuple):
    """A thing that was asked for: its noun and id, and the log's sequence of the request."""

    noun: str
    id: str
    sequence: int


class Row(dict[str, Any]):
    """One row of a view, as the API gives it; the columns that every noun has are typed."""

    @property
    def id(self) -> str:
        """The id or the name."""
        return str(self["id"])

    @property
    def namespace(self) -> str:
        """The namespace it belongs to."""
        return str(self.get("namespace") or "")

    @property
    def status(self) -> str:
        """One word, e.g. `running`."""
        return str(self.get("status") or "")

    @property
    def reason(self) -> str:
        """Why it is in this status, for a person; may be empty."""
        return str(self.get("reason") or "")

    @property
    def sequence(self) -> int:
        """The sequence of the last event that the row is made of."""
        return int(self.get("sequence") or 0)

    @property
    def created_at(self) -> datetime | None:
        """When its first event was appended, with zone."""
        return read_time(self.get("created_at"))

    @property
    def updated_at(self) -> datetime | None:
        """When its last event was appended, with zone."""
        return read_time(self.get("updated_at"))


@dataclass(frozen=True)
class RecordedEvent:
    """One event of the log.

    `payload` is its plain data, `data` the same as its contract's class. An event that no reader
    can make sense of has `problem` in place of both.
    """

    sequence: int
    time: datetime
    id: str
    type: str
    version: int
    namespace: str
    subject_id: str
    source: str = ""
    correlation_id: str = ""
    causation_id: str | None = None
    payload: Mapping[str, Any] = field(default_factory=dict)
    problem: str | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The event as the API gave it."""

    @property
    def noun(self) -> str:
        """What kind of thing the event is about, e.g. `job`."""
        return self.type.partition(".")[0]

    @property
    def verb(self) -> str:
        """What happened to it, e.g. `placed`."""
        return self.type.partition(".")[2]

    @cached_property
    def data(self) -> "Event":
        """The event as its contract's class.

        Raises `PenstockError` for an event that is not readable, or newer than this client.
        """
        from penstock_schemas import SchemaError, decode  # noqa: PLC0415 - pydantic is slow to load

        if self.problem is not None:
            raise PenstockError(f"event {self.id} is not readable: {self.problem}")
        try:
            return decode(self.type, self.version, json.dumps(self.payload))
        except SchemaError as error:
            raise PenstockError(
                f"event {self.id} is not readable here: {error}",
                hint="upgrade this client: pip install -U penstock",
            ) from error


def read_event(raw: Mapping[str, Any]) -> RecordedEvent:
    """An event as the API writes it."""
    payload, problem = raw.get("data"), raw.get("problem")
    return RecordedEvent(
        sequence=int(raw["sequence"]),
        time=datetime.fromisoformat(raw["time"]),
        id=str(raw["id"]),
        type=str(raw["type"]),
        version=int(raw.get("version") or 1),
        namespace=str(raw.get("namespace") or ""),
        subject_id=str(raw.get("subject_id") or ""),
        source=str(raw.get("source") or ""),
        correlation_id=str(raw.get("correlation_id") or ""),
        causation_id=raw.get("causation_id") or None,
        payload=payload if isinstance(payload, dict) else {},
        problem=str(problem) if problem is not None else None,
        raw=dict(raw),
    )


def read_time(value: object) -> datetime | None:
    """A time of the API, or None."""
    return datetime.fromisoformat(value) if isinstance(value, str) and value else None


def write_time(value: datetime | str | None) -> str | None:
    """A time for the API: a string passes, a datetime without a zone is local time."""
    if value is None or isinstance(value, str):
        return value
    return value.astimezone().isoformat()
