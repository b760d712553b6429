"""What can go wrong between a program and the platform, and how HTTP says it (RFC 9457)."""

import json
from typing import Any

SHOWN_BODY_LENGTH = 200


class PenstockError(Exception):
    """The platform could not do what was asked.

    `reason` says what is wrong, `field` which field of the request is at fault (dotted; may be
    empty), `hint` what to do next (may be empty), `status` the HTTP status, where there was one.
    """

    def __init__(
        self, reason: str = "", *, field: str = "", hint: str = "", status: int | None = None
    ) -> None:
        self.reason = reason or (type(self).__doc__ or "").split("\n", 1)[0]
        self.field = field
        self.hint = hint
        self.status = status
        self.refusal = ""
        """Of what is not declared: why what was asked for last was refused."""
        super().__init__(f"{field}: {self.reason}" if field else self.reason)


class NotRunning(PenstockError):
    """No platform answers at the address."""


class Unavailable(PenstockError):
    """The platform answered that it cannot serve now, or stopped answering."""


class NotFound(PenstockError):
    """There is no such thing, or there was none at the time that was asked about."""


class Ambiguous(NotFound):
    """Several things go by this part of an id."""


class SignInNeeded(PenstockError):
    """The platform does not know who asks."""


class Refused(PenstockError):
    """The platform understood and refused; nothing has changed."""


class TimedOut(PenstockError):
    """What was waited for did not happen in time; it may still happen."""


_BY_STATUS = {401: SignInNeeded, 404: NotFound, 410: NotFound, 408: TimedOut, 504: Unavailable}
_HINTS: dict[type[PenstockError], str] = {
    Unavailable: "penstock status",
    SignInNeeded: "penstock login",
}


def error_of(status: int, body: bytes) -> PenstockError:
    """The error that an answer with a status of 400 or more stands for.

    Reads problem details, the `{"error": …}` of the Open Inference Protocol, or plain text.
    """
    problem = _object(body)
    kind = _BY_STATUS.get(status, Unavailable if status >= 500 or status == 429 else Refused)
    plain = body[:SHOWN_BODY_LENGTH].decode(errors="replace").strip() if not problem else ""
    reason = problem.get("detail") or problem.get("error") or problem.get("title") or plain
    error = kind(
        str(reason or f"the platform answered HTTP {status}"),
        field=str(problem.get("field") or ""),
        hint=str(problem.get("hint") or _HINTS.get(kind, "")),
        status=status,
    )
    error.refusal = str(problem.get("refusal") or "")
    return error


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
