"""Rows as JSON documents: what is stored, and what the API writes."""

from typing import Any

import orjson

from penstock_gateway.domain.view import Row

INTEGER_BITS_MAX = 63
"""Larger integers become floating-point numbers, as in every reader of JSON that has no others."""
DEPTH_MAX = 200
"""Deeper values in a row are left out: writers of JSON have their limits."""
_OPTIONS = orjson.OPT_NON_STR_KEYS


def document_of(row: Row) -> bytes:
    """A row as JSON, its columns in order. Total: no row that a rule makes stops the projection."""
    try:
        return orjson.dumps(row, option=_OPTIONS)
    except TypeError:
        return orjson.dumps(_tamed(row), option=_OPTIONS)


def row_of(document: bytes | str) -> Row:
    """The row in a document."""
    row: Row = orjson.loads(document)
    return row


def _tamed(value: Any, depth: int = 0) -> Any:
    """JSON values within the limits of most readers."""
    if depth > DEPTH_MAX:
        return None
    if isinstance(value, dict):
        return {_tamed(key): _tamed(one, depth + 1) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_tamed(one, depth + 1) for one in value]
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, int) and value.bit_length() > INTEGER_BITS_MAX:
        return _as_float(value)
    return value


def _as_float(value: int) -> float | None:
    try:
        return float(value)
    except OverflowError:
        return None
