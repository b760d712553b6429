"""Who may ask an endpoint: whoever is a viewer of its namespace, or more.

A token of this platform is judged in the same step of the event loop, from folded state; one of
another issuer that is not known yet costs a turn, in which its keys may be fetched.
"""

import asyncio
from collections.abc import Callable

from penstock_chassis.accounts import Bearers, Principal, Unauthenticated
from penstock_chassis.errors import Unavailable
from penstock_serving.adapters.http_messages import Cancel, Request, Response, error_response

ROLE = "viewer"
CHALLENGE = ("www-authenticate", "Bearer")
RETRY_AFTER = ("retry-after", "1")


class Gate:
    """Judges requests before they reach a model."""

    def __init__(self, bearers: Bearers) -> None:
        self._bearers = bearers
        self._tasks: set[asyncio.Task[None]] = set()

    def admit(
        self,
        request: Request,
        namespace: str,
        admitted: Callable[[], Cancel | None],
        refused: Callable[[Response], None],
    ) -> Cancel | None:
        """Call `admitted`, now or later, or `refused` with the answer; what cancels it."""
        if self._bearers.open:
            return admitted()
        header = request.headers.get(b"authorization", b"").decode("latin-1")
        try:
            principal = self._bearers.principal_now(header)
        except Unauthenticated as error:
            refused(_unknown(error))
            return None
        if principal is None:
            return self._later(header, namespace, admitted, refused)
        return _judge(principal, namespace, admitted, refused)

    def _later(
        self,
        header: str,
        namespace: str,
        admitted: Callable[[], Cancel | None],
        refused: Callable[[Response], None],
    ) -> Cancel:
        begun: list[Cancel] = []

        async def recognise() -> None:
            try:
                principal = await self._bearers.principal(header)
            except Unauthenticated as error:
                refused(_unknown(error))
            except Unavailable as error:
                refused(error_response(503, str(error), RETRY_AFTER))
            else:
                cancel = _judge(principal, namespace, admitted, refused)
                begun.extend([cancel] if cancel is not None else [])

        task = asyncio.create_task(recognise())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

        def cancel() -> None:
            task.cancel()
            for one in begun:
                one()

        return cancel


def _judge(
    principal: Principal,
    namespace: str,
    admitted: Callable[[], Cancel | None],
    refused: Callable[[Response], None],
) -> Cancel | None:
    if principal.may(ROLE, namespace):
        return admitted()
    # The same for a namespace that is there and for one that never was.
    reason = f"there is no namespace {namespace[:80]!r} that {principal.account} may see"
    refused(error_response(404, reason))
    return None


def _unknown(error: Unauthenticated) -> Response:
    return error_response(401, str(error), CHALLENGE)
