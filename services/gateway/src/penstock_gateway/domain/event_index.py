"""Where events stand: by id, and by the story (correlation) that they belong to.

The index holds marks, eight bytes for each id, beside the sequence: it says where to look in the
log, and who looks compares the whole id with what stands there.
"""

from hashlib import blake2b
from typing import NamedTuple

from penstock_chassis.message import Recorded
from penstock_chassis.ports import StoredMessage

MARK_BYTES = 8


class IndexEntry(NamedTuple):
    """One event in the index."""

    sequence: int
    id_mark: int
    story_mark: int


def mark_of(text: str) -> int:
    """A text in eight bytes, as a signed number (what a database keeps best)."""
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=MARK_BYTES).digest()
    return int.from_bytes(digest, "big", signed=True)


def entry_of(recorded: Recorded) -> IndexEntry:
    """The entry of an event."""
    return IndexEntry(recorded.sequence, mark_of(recorded.id), mark_of(recorded.correlation_id))


def message_mark(stored: StoredMessage) -> str:
    """Tells a stored message from any other that could stand at its sequence: by it one sees
    that the log is not the one that was followed before."""
    named = f"{stored.sequence} {stored.time.isoformat()} {stored.subject}"
    return f"{mark_of(named + ' ' + stored.headers.get('ce-id', '')):x}"
