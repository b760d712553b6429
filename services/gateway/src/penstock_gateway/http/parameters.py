"""What requests say in their path and query, checked: each refusal names the parameter."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from starlette.requests import Request

from penstock_gateway.domain.read_model import ALL
from penstock_gateway.http.problems import Problem
from penstock_gateway.nouns import VIEWS
from penstock_schemas import is_name

LIMIT_DEFAULT = 100
LIMIT_MAX = 1000
JSON_BYTES_MAX = 2**20
"""The largest JSON body, but for folders: what one message of the bus may hold."""
SEQUENCE_MAX = 2**53
NAME_HINT = (
    "use lower-case letters, digits and hyphens, at most 63, starting and ending with a letter "
    "or digit"
)
TYPE_PATTERN = r"^(\*|[a-z0-9-]{1,63})(\.(\*|[a-z0-9-]{1,63}))?$"
_TYPE = re.compile(TYPE_PATTERN)


def namespace_of(request: Request, *, writes: bool = False) -> str:
    """The namespace in the path; `-` only where it is read."""
    name = str(request.path_params["namespace"])
    if name == ALL and not writes:
        return name
    if not is_name(name):
        hint = f"name one namespace; {NAME_HINT}" if name == ALL else NAME_HINT
        raise Problem(400, f"{name[:80]!r} is not a namespace", field="namespace", hint=hint)
    return name


def name_of(request: Request, parameter: str = "id") -> str:
    """A name or id in the path."""
    return checked_name(str(request.path_params[parameter]), parameter)


def checked_name(name: str, parameter: str) -> str:
    """A name from anywhere in the request."""
    if not is_name(name):
        raise Problem(400, f"{name[:80]!r} is not a name", field=parameter, hint=NAME_HINT)
    return name


def noun_of(request: Request) -> str:
    """The noun in the path."""
    noun = str(request.path_params["noun"])
    if noun not in VIEWS:
        known = ", ".join([*VIEWS, "event"])
        raise Problem(404, f"there is no noun {noun[:80]!r}", field="noun", hint=f"one of: {known}")
    return noun


def number(request: Request, name: str, default: int, lowest: int, highest: int) -> int:
    """A whole number in the query."""
    return checked_number(request.query_params.get(name, ""), name, default, lowest, highest)


def checked_number(text: str, name: str, default: int, lowest: int, highest: int) -> int:
    """A whole number from anywhere in the request; `default` where there is none."""
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or not lowest <= int(text[:20]) <= highest:
        raise Problem(400, f"{text[:80]!r} is not a number from {lowest} to {highest}", field=name)
    return int(text)


def limit_of(request: Request) -> int:
    """How many items a page may have."""
    return number(request, "limit", LIMIT_DEFAULT, 1, LIMIT_MAX)


def moment(request: Request, name: str) -> datetime | None:
    """A time in the query, UTC where it has no zone."""
    text = request.query_params.get(name)
    if not text:
        return None
    try:
        # An unescaped `+` of the zone arrives as a space.
        parsed = datetime.fromisoformat(text.replace(" ", "+"))
        return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        hint = "write RFC 3339, e.g. 2026-11-24T10:00:00Z"
        raise Problem(400, f"{text[:80]!r} is not a time", field=name, hint=hint) from None


def type_filter(request: Request) -> str:
    """An event type or a pattern of one: `job.placed`, `job.*`, `job`, `*.rejected`."""
    text = request.query_params.get("type") or "*.*"
    if not _TYPE.fullmatch(text):
        hint = "write <noun>.<verb>; either may be *"
        raise Problem(400, f"{text[:80]!r} is not an event type", field="type", hint=hint)
    return text if "." in text else f"{text}.*"


def expect_json(request: Request) -> None:
    """Refuse another content type: a page in a browser can send those without being asked."""
    given = request.headers.get("content-type", "")
    kind = given.partition(";")[0].strip().lower()
    if kind != "application/json" and not (
        kind.startswith("application/") and kind.endswith("+json")
    ):
        raise Problem(
            415,
            f"the content type is {given[:80] or 'not given'}",
            field="content-type",
            hint="send application/json",
        )


async def body_of(request: Request, bytes_max: int = JSON_BYTES_MAX) -> bytes:
    """The body, read no further than it may go."""
    declared = request.headers.get("content-length", "")
    too_large = Problem(
        413,
        f"the body is larger than {bytes_max} bytes",
        hint="put data into the object store (POST /v1/<namespace>/object) and name it",
    )
    if declared.isdigit() and int(declared[:20]) > bytes_max:
        raise too_large
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > bytes_max:
            raise too_large
    return bytes(body)


async def json_object(request: Request, bytes_max: int = JSON_BYTES_MAX) -> Mapping[str, Any]:
    """The body as a JSON object."""
    expect_json(request)
    document = parse_json(await body_of(request, bytes_max))
    if not isinstance(document, dict):
        raise Problem(400, "the body is not a JSON object", hint='send {"type": …, "data": …}')
    return document


def parse_json(body: bytes) -> Any:
    """JSON, strictly: UTF-8, no NaN."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Problem(400, f"the body is not JSON: {error}") from None
