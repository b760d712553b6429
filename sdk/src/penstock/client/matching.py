"""Which events and things are meant: type patterns, filters, and parts of ids."""

from collections.abc import Iterable, Sequence

from penstock.client.errors import Ambiguous
from penstock.client.records import RecordedEvent

PART_LENGTH_MIN = 4
"""Characters of an id that may stand for it, so that a typing error rarely finds another."""
SHOWN_MATCHES = 5


def type_matches(type: str, patterns: Sequence[str]) -> bool:
    """Whether a type is one of `patterns`: `model.promoted`, `model.*`, `*.rejected`, `model`."""
    return not patterns or any(_fits(type.split("."), pattern.split(".")) for pattern in patterns)


def _fits(tokens: Sequence[str], pattern: Sequence[str]) -> bool:
    return len(pattern) <= len(tokens) and all(
        wanted in ("*", token) for token, wanted in zip(tokens, pattern, strict=False)
    )


def server_type(patterns: Sequence[str]) -> str | None:
    """The type to ask the server for, where one exact type is wanted; else we filter."""
    exact = len(patterns) == 1 and "*" not in patterns[0] and "." in patterns[0]
    return patterns[0] if exact else None


def wanted(event: RecordedEvent, patterns: Sequence[str], id: str | None) -> bool:
    """Whether the event is of one of the types and, where `id` is given, about that thing."""
    return type_matches(event.type, patterns) and id in (None, event.subject_id)


def the_one(part: str, ids: Iterable[str], noun: str) -> str | None:
    """The only id that begins or ends with `part`; None where none does.

    Raises `Ambiguous` where several do.
    """
    if len(part) < PART_LENGTH_MIN:
        return None
    found = sorted({id for id in ids if id.startswith(part) or id.endswith(part)})
    if len(found) > 1:
        shown = ", ".join(found[:SHOWN_MATCHES]) + (", …" if len(found) > SHOWN_MATCHES else "")
        raise Ambiguous(
            f"{len(found)} things go by {part!r}: {shown}", hint=f"give more of the {noun}'s id"
        )
    return found[0] if found else None
