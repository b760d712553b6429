"""Who may talk to the API at all: the guard against web pages in the user's browser.

A page on another site can make a browser send requests to a loopback address, also through a
name of its own that resolves there (DNS rebinding). Both show: in `Origin`, and in `Host`.
"""

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from penstock_gateway.http.problems import Problem, problem_response
from penstock_gateway.settings import ANY_HOST


class HostGuard:
    """Lets only requests pass whose `Host`, and `Origin` where there is one, are allowed names."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        problem = self._problem(Headers(scope=scope)) if scope["type"] == "http" else None
        if problem is None:
            await self._app(scope, receive, send)
        else:
            await problem_response(problem)(scope, receive, send)

    def _problem(self, headers: Headers) -> Problem | None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._allowed(f"//{hosts[0]}"):
            return Problem(
                403,
                "this host name is not allowed",
                field="host",
                hint="use 127.0.0.1 or localhost, or add the name to "
                "PENSTOCK_GATEWAY_ALLOWED_HOSTS",
            )
        origins = headers.getlist("origin")
        if origins and not all(map(self._allowed, origins)):
            return Problem(403, "requests from pages of other sites are refused", field="origin")
        return None

    def _allowed(self, url: str) -> bool:
        if ANY_HOST in self._hosts:
            return True
        try:
            return (urlsplit(url).hostname or "") in self._hosts
        except ValueError:
            return False
