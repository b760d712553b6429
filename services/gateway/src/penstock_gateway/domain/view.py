"""`View`: what the platform shows of one noun, as a pure fold from events to rows.

A row is a flat mapping from column to JSON value. Rows are never changed in place: each event
makes a new one, so that a snapshot of the past is only a copy of references.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from penstock_chassis.message import Recorded
from penstock_schemas import Event

Row = Mapping[str, Any]
Rule = Callable[[Row, Any, Recorded], Mapping[str, Any]]
"""`(row, event, recorded) -> the columns that change`. `row` holds at least the base columns; the
values of the view's own columns are absent in a row that is just born."""

BASE_COLUMNS: Mapping[str, str] = {
    "namespace": "The team that it belongs to",
    "id": "Its id or name",
    "status": "One word",
    "reason": "Why it is in this status, for a person",
    "created_at": "When its first event was stored, UTC",
    "updated_at": "When its last event was stored, UTC",
    "created_sequence": "The log's sequence of its first event",
    "sequence": "The log's sequence of the last event that changed the row",
}
UNKNOWN = "unknown"
"""The status of a row whose first event says none, e.g. the end of a job that nobody asked for."""
INDEXED_MAX = 3
"""Columns of one noun that have an index, beside the namespace and the status."""
LISTED_MAX = 1000
"""Entries of a history inside one row; the oldest leave first."""


@dataclass(frozen=True)
class View:
    """One noun.

    `rules` are its own events; `others` are events of other nouns that change one of its rows:
    the function says which (its id), and such an event never makes a row. A rule is called with
    the row, the event and its record, and returns the columns that change.
    """

    noun: str
    columns: Mapping[str, str]
    """Its own columns with their meaning, beside `BASE_COLUMNS`."""
    rules: Mapping[type[Event], Rule]
    others: Mapping[type[Event], tuple[Callable[[Any], str | None], Rule]] = field(
        default_factory=dict
    )
    indexed: tuple[str, ...] = ()
    """Columns, texts all, by whose value rows are often asked for: at most `INDEXED_MAX`."""

    def __post_init__(self) -> None:
        unknown = [column for column in self.indexed if column not in self.columns]
        if unknown or len(self.indexed) > INDEXED_MAX:
            raise ValueError(
                f"{self.noun}: index at most {INDEXED_MAX} of its own columns"
                + (f", not {unknown[0]!r}" if unknown else "")
            )

    @property
    def events(self) -> tuple[type[Event], ...]:
        """The events that it is made of."""
        return (*self.rules, *self.others)

    @property
    def all_columns(self) -> Mapping[str, str]:
        """Every column with its meaning."""
        return {**BASE_COLUMNS, **self.columns}

    def row_id(self, recorded: Recorded) -> str | None:
        """The id of the row that the event changes, None where it changes none."""
        event = type(recorded.event)
        if event in self.rules:
            return recorded.event.id
        other = self.others.get(event)
        return other[0](recorded.event) if other is not None else None

    def evolve_row(self, row: Row | None, recorded: Recorded) -> Row | None:
        """The row after the event; None where there is still none."""
        event = type(recorded.event)
        rule = self.rules.get(event)
        if rule is None:
            if row is None or event not in self.others:
                return row
            rule = self.others[event][1]
        before = self._born(recorded) if row is None else row
        after = {**before, **rule(before, recorded.event, recorded)}
        after["updated_at"] = utc_text(recorded.time)
        after["sequence"] = recorded.sequence
        return after

    def _born(self, recorded: Recorded) -> Row:
        time = utc_text(recorded.time)
        return {
            "namespace": recorded.namespace,
            "id": recorded.event.id,
            "status": UNKNOWN,
            "reason": "",
            "created_at": time,
            "updated_at": time,
            "created_sequence": recorded.sequence,
            "sequence": recorded.sequence,
            **dict.fromkeys(self.columns),
        }


def utc_text(time: datetime) -> str:
    """A time as the API writes it: RFC 3339, UTC."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def plain(value: Any) -> Any:
    """A part of an event as JSON values."""
    return value.model_dump(mode="json") if value is not None else None


def appended(values: Any, entry: Any) -> list[Any]:
    """A history with one more entry, the oldest dropped beyond `LISTED_MAX`."""
    return [*(values or ()), entry][-LISTED_MAX:]


def refused(row: Row, event: Any, recorded: Recorded) -> Mapping[str, Any]:
    """The rule of `<noun>.rejected` where a refusal ends what was asked for and nothing stands.

    The row's column `request` says by which event; a refusal of somebody else's request under the
    same id changes nothing of what stands.
    """
    own = row["status"] == "requested" and row["request"] == event.request
    if not own and row["status"] not in (UNKNOWN, "rejected"):
        return {}
    return {"status": "rejected", "reason": refusal_text(event)}


def refusal_text(event: Any) -> str:
    """A refusal in one line: what is wrong and what to do."""
    return f"{event.reason} ({event.fix})" if event.fix else str(event.reason)
