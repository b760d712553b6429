"""What passes between the HTTP connection and its handler."""

from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeAlias

import orjson


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """The bounds of one connection."""

    max_head_bytes: int = 32 * 1024
    max_body_bytes: int = 16 * 1024 * 1024
    max_pipelined: int = 32
    request_seconds: float = 30.0
    """From a request's first byte to its last."""
    idle_seconds: float = 75.0
    write_seconds: float = 30.0
    """How long a client may refuse to read."""
    max_connections: int = 4096


@dataclass(slots=True)
class Request:
    """One complete request; header names are in lower case."""

    method: str = ""
    target: str = ""
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Response:
    """One answer."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = "application/json"


Reply: TypeAlias = Callable[[Response], None]
Cancel: TypeAlias = Callable[[], Any]
Handler: TypeAlias = Callable[[Request, Reply], Cancel | None]
"""Calls `reply` exactly once; may return what is to be called if the client goes away before."""


def error_response(status: int, reason: str, *headers: tuple[str, str]) -> Response:
    """An error in the protocol's form."""
    return Response(status, orjson.dumps({"error": reason}), headers)


_STATUS_LINES = {s.value: f"HTTP/1.1 {s.value} {s.phrase}\r\n" for s in HTTPStatus}


def encode_response(response: Response, *, keep_alive: bool, head_only: bool = False) -> bytes:
    """The bytes of an answer."""
    extra = "".join(f"{name}: {value}\r\n" for name, value in response.headers)
    connection = "" if keep_alive else "connection: close\r\n"
    head = (
        f"{_STATUS_LINES[response.status]}content-type: {response.content_type}\r\n"
        f"content-length: {len(response.body)}\r\n{extra}{connection}\r\n"
    )
    return head.encode("latin-1") + (b"" if head_only else response.body)
