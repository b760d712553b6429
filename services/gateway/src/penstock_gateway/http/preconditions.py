"""Conditional requests (RFC 9110 §13): write only where nobody else has changed the thing.

The entity tag of a thing is the log's sequence of what last changed it, so `If-Match: "17"` says:
only if nothing has happened to it after 17. The append is guarded with the sequence that was
compared, so the condition holds at the moment of the append, not only of the comparison.
"""

from dataclasses import dataclass

from starlette.requests import Request

from penstock_gateway.http.parameters import SEQUENCE_MAX
from penstock_gateway.http.problems import Problem

IF_MATCH, IF_NONE_MATCH = "if-match", "if-none-match"
ANY = "*"
_TAG_HINT = 'send the ETag of a GET, e.g. If-Match: "17"'


@dataclass(frozen=True)
class Precondition:
    """What must hold of a thing before it is written; nothing, where all are as by default."""

    unchanged_since: int | None = None
    """Nothing has changed it after this sequence of the log."""
    exists: bool | None = None

    def __bool__(self) -> bool:
        return self != WHATEVER

    def check(self, thing: str, standing: int, log_head: int) -> None:
        """Raise `Problem` (412) where it does not hold of a thing that was changed last at the
        sequence `standing` (0: there is none), in a log that ends at `log_head`."""
        since = self.unchanged_since
        if self.exists is False and standing:
            self._refuse(f"{thing} is there already", standing, IF_NONE_MATCH)
        if self.exists and not standing:
            self._refuse(f"there is no {thing}", standing, IF_MATCH)
        if since is not None and standing > since:
            self._refuse(f"{thing} has changed since {since}: see {standing}", standing, IF_MATCH)
        if since is not None and since > log_head:
            self._refuse(f"nothing has happened to {thing} at {since}", standing, IF_MATCH)

    def _refuse(self, detail: str, standing: int, field: str) -> None:
        raise Problem(
            412,
            detail,
            field=field,
            hint="look at it again, and decide again",
            headers={"etag": tag(standing)} if standing else None,
            current_sequence=standing,
        )


WHATEVER = Precondition()


def precondition_of(request: Request) -> Precondition:
    """What the request's headers ask for; raises `Problem` (400)."""
    match, none_match = request.headers.get(IF_MATCH), request.headers.get(IF_NONE_MATCH)
    if none_match is not None and none_match.strip() != ANY:
        hint = "If-None-Match: * writes only what is not there yet"
        raise Problem(400, "only * makes sense for a write", field=IF_NONE_MATCH, hint=hint)
    exists = False if none_match is not None else None
    if match is None:
        return Precondition(exists=exists)
    if exists is False:
        raise Problem(400, "these two conditions exclude one another", field=IF_NONE_MATCH)
    if match.strip() == ANY:
        return Precondition(exists=True)
    return Precondition(unchanged_since=_sequence(match.strip()), exists=True)


def tag(sequence: int) -> str:
    """The entity tag of what was changed last at a sequence."""
    return f'"{sequence}"'


def _sequence(text: str) -> int:
    digits = text.removeprefix('"').removesuffix('"')
    if not digits.isascii() or not digits.isdigit() or len(digits) > len(str(SEQUENCE_MAX)):
        raise Problem(400, f"{text[:80]!r} is no entity tag", field=IF_MATCH, hint=_TAG_HINT)
    return int(digits)


def not_modified(request: Request, sequence: int) -> bool:
    """Whether a GET asks only for what is newer than it has (`If-None-Match`)."""
    asked = request.headers.get(IF_NONE_MATCH, "")
    return tag(sequence) in [one.strip().removeprefix("W/") for one in asked.split(",")]
