# Generated from client/aio by generate_sync.py; edit that, and run it again.
"""Requests to the gateway: retries, errors, and the resumable stream of events.

A request is tried again while the platform restarts: every write of this API is safe to repeat
(idempotency keys, content addresses). Where nothing has ever answered at the address, the first
refused connection is final: the platform does not run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import closing
from typing import Any

import httpx

from penstock.client.address import START_HINT, Address
from penstock.client.credentials import find_token
from penstock.client.errors import NotRunning, PenstockError, TimedOut, Unavailable, error_of
from penstock.client.records import RecordedEvent, read_event
from penstock.client.sse import Decoder
from penstock.client.sync.effects import sleep
from penstock.client.timing import (
    CONNECT_SECONDS,
    REOPEN_SLACK_SECONDS,
    REQUEST_SECONDS,
    TRIES_MAX,
    Deadline,
    pause_seconds,
)

RETRIED_STATUSES = frozenset({429, 502, 503, 504})
USER_AGENT = "penstock-python"

Params = Mapping[str, Any]


class Transport:
    """One connection pool to one platform."""

    def __init__(
        self,
        address: Address,
        transport: httpx.BaseTransport | None = None,
        token: str | None = None,
        *,
        patient: bool = False,
    ) -> None:
        self.address = address
        token = find_token(address.gateway_url, token)
        headers = {"user-agent": USER_AGENT}
        if token:
            headers["authorization"] = f"Bearer {token}"  # redirects, to anywhere, are not followed
        self._http = httpx.Client(
            transport=transport,
            headers=headers,
            timeout=httpx.Timeout(REQUEST_SECONDS, connect=CONNECT_SECONDS),
        )
        self._answered = patient
        """Whether there is a platform, as far as we know: then one that refuses comes back."""

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, path: str, params: Params | None = None) -> Any:
        """The JSON at `path`."""
        return (self.send("GET", path, params=params)).json()

    def text(self, path: str, params: Params | None = None) -> str:
        """The text at `path`."""
        return (self.send("GET", path, params=params)).text

    def post(
        self,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        *,
        timeout_seconds: float = REQUEST_SECONDS,
    ) -> Any:
        """The JSON that comes back for JSON."""
        answer = self._write("POST", path, body, headers, timeout_seconds)
        return answer.json()

    def put(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> Any:
        """The JSON that comes back for JSON that is put."""
        return (self._write("PUT", path, body, headers, REQUEST_SECONDS)).json()

    def _write(
        self,
        method: str,
        path: str,
        body: Any,
        headers: Mapping[str, str] | None,
        timeout_seconds: float,
    ) -> httpx.Response:
        content = None if body is None else json.dumps(body, allow_nan=False).encode()
        kind = {"content-type": "application/json"}
        return self.send(
            method,
            path,
            content=lambda: content,
            headers={**kind, **(headers or {})},
            timeout_seconds=timeout_seconds,
        )

    def send(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        content: Callable[[], bytes | Iterable[bytes] | None] = lambda: None,
        headers: Mapping[str, str] | None = None,
        timeout_seconds: float = REQUEST_SECONDS,
    ) -> httpx.Response:
        """One request; `content` is asked for its bytes at each try. Raises `PenstockError`."""
        tries = 0
        while True:
            tries += 1
            try:
                response = self._http.request(
                    method,
                    self._url(path),
                    params=_given(params),
                    content=content(),
                    headers=headers,
                    timeout=httpx.Timeout(timeout_seconds, connect=CONNECT_SECONDS),
                )
            except httpx.TransportError as error:
                if tries >= TRIES_MAX or not self._may_return(error):
                    raise self._unreachable(error) from error
            else:
                self._answered = True
                if response.status_code < 400:
                    return response
                if response.status_code not in RETRIED_STATUSES or tries >= TRIES_MAX:
                    raise error_of(response.status_code, response.content)
            sleep(pause_seconds(tries))

    def events(
        self, path: str, params: Params, after: int, deadline: Deadline
    ) -> Generator[RecordedEvent, None]:
        """Every event after the sequence `after`, then those to come, each once and in order.

        Lost connections are opened again where they broke off, for ever. Raises `TimedOut` at the
        deadline, if one is set.
        """
        position, failures = after, 0
        while not deadline.passed():
            try:
                with closing(self._stream(path, params, position, deadline)) as stream:
                    for event in stream:
                        failures = 0
                        if event.sequence > position:
                            yield event
                            position = event.sequence
            except httpx.TransportError as error:
                if not self._may_return(error):
                    raise self._unreachable(error) from error
            except Unavailable:
                pass  # it restarts; the pause below grows with each refusal
            if not deadline.passed():
                failures += 1
                sleep(min(pause_seconds(failures), deadline.read_seconds()))
        raise TimedOut("what was waited for did not happen in time", hint="wait again, or longer")

    def _stream(
        self, path: str, params: Params, after: int, deadline: Deadline
    ) -> Generator[RecordedEvent, None]:
        read_seconds = deadline.read_seconds()
        with self._http.stream(
            "GET",
            self._url(path),
            params=_given({**params, "after": after}),
            headers={"accept": "text/event-stream", "last-event-id": str(after)},
            timeout=httpx.Timeout(CONNECT_SECONDS, read=read_seconds),
        ) as response:
            self._answered = True
            if response.status_code >= 400:
                raise error_of(response.status_code, response.read())
            decoder = Decoder()
            for chunk in response.iter_bytes():
                for message in decoder.feed(chunk):
                    if message.data:
                        yield read_event(json.loads(message.data))
                # A read that may outlast the deadline is opened anew with a shorter limit.
                outlasts = deadline.read_seconds() + REOPEN_SLACK_SECONDS < read_seconds
                if outlasts or deadline.passed():
                    return

    def _url(self, path: str) -> str:
        return path if "://" in path else self.address.gateway_url + path

    def _may_return(self, error: httpx.TransportError) -> bool:
        refused_at_first = isinstance(error, httpx.ConnectError) and not self._answered
        return not refused_at_first and not isinstance(error, httpx.UnsupportedProtocol)

    def _unreachable(self, error: httpx.TransportError) -> PenstockError:
        said = str(error) or type(error).__name__
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            where = self.address.gateway_url
            return NotRunning(f"no platform answers at {where}: {said}", hint=START_HINT)
        return Unavailable(f"the platform stopped answering: {said}", hint="penstock status")


def _given(params: Params | None) -> dict[str, Any]:
    return {name: value for name, value in (params or {}).items() if value is not None}
