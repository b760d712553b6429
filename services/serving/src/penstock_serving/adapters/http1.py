"""HTTP/1.1 as an asyncio protocol on httptools (llhttp): what a data plane needs, and no more.

Keep-alive; pipelined requests are handled at once and answered in order; bodies by
Content-Length or chunked; `Expect: 100-continue`; limits on heads, bodies and pipelines; time
limits on slow requests, idle connections and readers that do not read; drain on close.
The parser is strict (a request with both Content-Length and Transfer-Encoding, two lengths, or a
bad one is refused, and the connection closed), so nothing can be smuggled past a proxy.
A handler is synchronous and answers through a callback, now or later: no task per request.
"""

import asyncio
import logging
import time
from collections import deque
from dataclasses import dataclass
from typing import Protocol, cast

import httptools

from penstock_serving.adapters.http_messages import (
    Cancel,
    Handler,
    HttpLimits,
    Request,
    Response,
    encode_response,
    error_response,
)

logger = logging.getLogger(__name__)

HEADER_OVERHEAD_BYTES = len(b": \r\n")
LINGER_SECONDS = 2.0
"""After a refusal the rest of the client's bytes are read and dropped for so long: closing with
unread bytes would reset the connection and lose the answer on its way."""


class _Refusal(Exception):
    """The connection cannot go on: answer this, then close."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.response = error_response(status, reason)


@dataclass(slots=True, eq=False)
class _Exchange:
    """One request in the pipeline and its answer, which waits for its turn."""

    keep_alive: bool
    response: Response | None = None
    cancel: Cancel | None = None
    head_only: bool = False


class Room(Protocol):
    """Who counts the connections."""

    def admit(self, connection: "HttpConnection") -> bool:
        """Note a new connection; false where there are too many."""

    def leave(self, connection: "HttpConnection") -> None:
        """The connection is closed."""


class HttpConnection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, handler: Handler, limits: HttpLimits, room: Room) -> None:
        self._handler = handler
        self._limits = limits
        self._room = room
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._pipeline: deque[_Exchange] = deque()
        self._request = Request()
        self._chunks: list[bytes] = []
        self._body_bytes = 0
        self._fed_head_bytes = 0
        self._parsed_head_bytes = 0
        self._mid_request = False
        self._in_head = True
        self._read_paused = False
        self._continue_wanted = False
        self._last = False  # no request after the ones in the pipeline is answered
        self._discarding = False
        self._draining = False
        self._eof = False
        self._completed = 0
        self._deadline = time.monotonic() + limits.idle_seconds
        self._write_deadline: float | None = None

    # -- transport -------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, unless there are too many."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        if not self._room.admit(self):
            self._refuse(_Refusal(503, "too many connections; try again later"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Withdraw what the client can no longer be told."""
        self._room.leave(self)
        for exchange in self._pipeline:
            if exchange.response is None and exchange.cancel is not None:
                exchange.cancel()
        self._pipeline.clear()
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """Parse; refusals and parser errors end the connection after the answers before them."""
        if self._discarding or self._last:
            return
        if not self._mid_request:
            self._deadline = time.monotonic() + self._limits.request_seconds
        try:
            # In slices, so that at most two limits' worth of an endless head is ever held.
            for start in range(0, len(data), self._limits.max_head_bytes):
                self._feed(data[start : start + self._limits.max_head_bytes])
        except httptools.HttpParserUpgrade:
            self._last = True  # the request is answered as if it had not asked to upgrade
            self._flush()
        except httptools.HttpParserError as error:
            cause = error.__context__
            if isinstance(cause, _Refusal):
                self._refuse(cause)
            elif not self._last:
                self._refuse(_Refusal(400, f"not valid HTTP/1.1: {error}"))
        except _Refusal as refusal:
            self._refuse(refusal)

    def _feed(self, data: bytes) -> None:
        completed = self._completed
        self._parser.feed_data(data)
        # A header that is not complete is inside the parser: count what was fed to it.
        if self._completed != completed or not self._in_head:
            self._fed_head_bytes = 0
        else:
            self._fed_head_bytes += len(data)
            self._check_head(self._fed_head_bytes)

    def eof_received(self) -> bool:
        """The client sends no more; answer what is in the pipeline, then close.

        A client that is gone looks the same until the answer fails: its request is answered in
        vain, which is better than to leave one unanswered that only closed its half.
        """
        self._last = self._eof = True
        return bool(self._pipeline)

    def pause_writing(self) -> None:
        """The client does not read: stop reading from it."""
        self._write_deadline = time.monotonic() + self._limits.write_seconds
        self._update_reading()

    def resume_writing(self) -> None:
        """The client reads again."""
        self._write_deadline = None
        self._flush()
        self._update_reading()

    # -- httptools callbacks ---------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A request starts."""
        self._request = Request()
        self._chunks = []
        self._body_bytes = 0
        self._parsed_head_bytes = 0
        self._mid_request = True
        self._in_head = True

    def on_url(self, url: bytes) -> None:
        """A piece of the request target."""
        self._request.target += url.decode("latin-1")
        if len(self._request.target) > self._limits.max_head_bytes:
            raise _Refusal(414, "the URL is too long")

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, or one trailer after a chunked body (which is ignored)."""
        if not self._in_head:
            return
        self._request.headers[name.lower()] = value
        self._parsed_head_bytes += len(name) + len(value) + HEADER_OVERHEAD_BYTES
        self._check_head(self._parsed_head_bytes)

    def on_headers_complete(self) -> None:
        """Refuse early what would be refused anyway; invite the body if the client waits."""
        self._in_head = False
        request = self._request
        request.method = self._parser.get_method().decode("latin-1")
        if self._parser.get_http_version() not in ("1.1", "1.0"):
            raise _Refusal(505, "speak HTTP/1.1")
        # The parser has checked that the length is a number.
        if int(request.headers.get(b"content-length", b"0")) > self._limits.max_body_bytes:
            raise self._too_large()
        expectation = request.headers.get(b"expect")
        if expectation is not None:
            if expectation.lower() != b"100-continue":
                raise _Refusal(417, "the only expectation that is met is 100-continue")
            self._continue_wanted = self._parser.get_http_version() == "1.1"
            self._invite_body()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._body_bytes += len(body)
        if self._body_bytes > self._limits.max_body_bytes:
            raise self._too_large()
        self._chunks.append(body)

    def on_message_complete(self) -> None:
        """The request is whole: hand it on."""
        self._completed += 1
        self._mid_request = False
        self._in_head = True
        self._continue_wanted = False
        if self._last:
            return
        request = self._request
        request.body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks = []
        keep_alive = self._parser.should_keep_alive() and not self._draining
        exchange = _Exchange(keep_alive, head_only=request.method == "HEAD")
        self._pipeline.append(exchange)
        self._last = not keep_alive
        self._handle(request, exchange)
        self._update_reading()

    # -- answers ---------------------------------------------------------------------------------

    def _handle(self, request: Request, exchange: _Exchange) -> None:
        def reply(response: Response) -> None:
            assert exchange.response is None, "a request was answered twice"
            exchange.response = response
            self._flush()

        try:
            exchange.cancel = self._handler(request, reply)
        except Exception:
            logger.exception("the handler of %s %s failed", request.method, request.target)
            if exchange.response is None:
                reply(error_response(500, "internal error; the server's log has the details"))

    def _flush(self) -> None:
        if self._transport is None:
            return
        while self._pipeline and (response := self._pipeline[0].response) is not None:
            exchange = self._pipeline.popleft()
            more = bool(self._pipeline) or self._mid_request
            keep_alive = exchange.keep_alive and (more or not self._draining)
            self._transport.write(
                encode_response(response, keep_alive=keep_alive, head_only=exchange.head_only)
            )
            if not keep_alive:
                self._finish()
                return
        if not self._pipeline:
            if self._last:
                self._finish()
                return
            if not self._mid_request:
                self._deadline = time.monotonic() + self._limits.idle_seconds
            self._invite_body()
        self._update_reading()

    def _refuse(self, refusal: _Refusal) -> None:
        self._last = True
        self._chunks = []
        self._pipeline.append(_Exchange(keep_alive=False, response=refusal.response))
        self._flush()

    def _finish(self) -> None:
        """Everything is said. Close once the client has had time to read it."""
        assert self._transport is not None
        self._last = self._discarding = True
        self._deadline = time.monotonic() + LINGER_SECONDS
        if self._eof:
            self._transport.close()
            return
        self._transport.write_eof()
        if self._read_paused:
            self._transport.resume_reading()

    def _invite_body(self) -> None:
        # In order: an interim answer may not overtake the final ones of earlier requests.
        if self._continue_wanted and not self._pipeline and self._transport is not None:
            self._continue_wanted = False
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _check_head(self, size_bytes: int) -> None:
        if size_bytes > self._limits.max_head_bytes:
            raise _Refusal(431, f"the head is larger than {self._limits.max_head_bytes} bytes")

    def _too_large(self) -> _Refusal:
        return _Refusal(
            413,
            f"the body is larger than {self._limits.max_body_bytes} bytes; send fewer rows at once",
        )

    def _update_reading(self) -> None:
        if self._transport is None or self._transport.is_closing() or self._discarding:
            return
        pause = (
            len(self._pipeline) >= self._limits.max_pipelined or self._write_deadline is not None
        )
        if pause and not self._read_paused:
            self._transport.pause_reading()
        elif not pause and self._read_paused:
            self._transport.resume_reading()
        self._read_paused = pause

    # -- time ------------------------------------------------------------------------------------

    def sweep(self, now: float) -> None:
        """End the connection where one of its time limits has passed."""
        if self._transport is None:
            return
        if self._write_deadline is not None and now > self._write_deadline:
            self._transport.abort()
        elif now <= self._deadline:
            return
        elif self._discarding and self._transport.is_closing():
            self._transport.abort()  # it does not even take the answer
        elif self._discarding:
            self._transport.close()
        elif self._mid_request and not self._last:
            self._refuse(_Refusal(408, "the request took too long to arrive"))
        elif not self._pipeline:
            self._transport.close()

    def drain(self) -> None:
        """Answer what has come, with `connection: close`, and take no more."""
        self._draining = True
        if not self._pipeline and not self._mid_request and self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close now."""
        if self._transport is not None:
            self._transport.abort()
