"""A receiver of webhooks in the test: it takes deliveries, or fails as it is told."""

import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook

Behave = Callable[[str, int], int]
"""The status for a path and the number of its posts; 0: no answer at all; above 1000: that many
milliseconds less 1000, then 200."""


class Receiver:
    """Listens while `up`; may go down and come back on the same port."""

    def __init__(self, secret: str, behave: Behave = lambda path, number: 200) -> None:
        self.secret = secret
        self.behave = behave
        self.taken: dict[str, list[dict[str, Any]]] = defaultdict(list)
        """By path: the events that were answered 2xx, in order."""
        self.ids: dict[tuple[str, str], set[str]] = defaultdict(set)
        """By path and event: the ids of its deliveries."""
        self.posts: dict[str, int] = defaultdict(int)
        self.wrong: list[str] = []
        self.port = 0
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None

    def up(self) -> "Receiver":
        """Listen."""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                status = outer.receive(self.path, dict(self.headers.items()), body)
                if status == 0:
                    self.close_connection = True
                    return
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("location", "/elsewhere")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def down(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def receive(self, path: str, headers: dict[str, str], body: bytes) -> int:
        """Verify by the library, note, and answer."""
        lower = {name.lower(): value for name, value in headers.items()}
        with self._lock:
            try:
                event = Webhook(self.secret).verify(body, lower)
            except Exception as error:  # noqa: BLE001 - whatever is wrong with it
                self.wrong.append(f"{path}: {error!r}")
                return 401
            self.posts[path] += 1
            status = self.behave(path, self.posts[path])
            self.ids[path, event["id"]].add(lower["webhook-id"])
        if status > 1000:
            time.sleep((status - 1000) / 1000)
            status = 200
        if 200 <= status < 300:
            with self._lock:
                self.taken[path].append(json.loads(body))
        return status

    def url(self, path: str) -> str:
        """Where a path is."""
        return f"http://127.0.0.1:{self.port}{path}"
