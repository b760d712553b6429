"""Who may talk to the API at all: the guard against web pages in the user's browser.

A page on another site can make a browser send requests to a loopback address, also through a
name of its own that resolves there (DNS rebinding). It shows in `Host`; in `Origin`, which must be
the API's own (another port of this machine is another site); and in `Sec-Fetch-Site`, which the
browser sets and no page can.
"""

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from penstock_gateway.http.problems import Problem, problem_response
from penstock_gateway.settings import ANY_HOST

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
OWN_SITES = frozenset({"", "same-origin", "none"})
"""`none`: the user typed the address, or the sender is no browser."""
DEFAULT_PORTS = {"http": 80, "https": 443}


class HostGuard:
    """Lets only requests pass whose `Host` is allowed and that no page of another site sent."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        problem = None
        if scope["type"] == "http":
            problem = self._problem(Headers(scope=scope), str(scope["method"]))
        if problem is None:
            await self._app(scope, receive, send)
        else:
            await problem_response(problem)(scope, receive, send)

    def _problem(self, headers: Headers, method: str) -> Problem | None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._allowed(f"//{hosts[0]}"):
            return Problem(
                403,
                "this host name is not allowed",
                field="host",
                hint="use 127.0.0.1 or localhost, or add the name to "
                "PENSTOCK_GATEWAY_ALLOWED_HOSTS",
            )
        if not all(_is_own(origin, hosts[0]) for origin in headers.getlist("origin")):
            return Problem(403, "requests from pages of other sites are refused", field="origin")
        site = headers.get("sec-fetch-site", "")
        if method not in SAFE_METHODS and site not in OWN_SITES:
            return Problem(
                403, "requests from pages of other sites are refused", field="sec-fetch-site"
            )
        return None

    def _allowed(self, url: str) -> bool:
        if ANY_HOST in self._hosts:
            return True
        try:
            return (urlsplit(url).hostname or "") in self._hosts
        except ValueError:
            return False


def _is_own(origin: str, host: str) -> bool:
    """Whether an origin is the API's own: the very host and port that the request names.

    The scheme may differ: behind a proxy, TLS ends before us.
    """
    try:
        page, api = urlsplit(origin), urlsplit(f"//{host}")
        ports = {page.port or DEFAULT_PORTS.get(page.scheme)}
        own = {api.port} if api.port else set(DEFAULT_PORTS.values())
    except ValueError:
        return False
    return page.scheme in DEFAULT_PORTS and page.hostname == api.hostname and ports <= own
