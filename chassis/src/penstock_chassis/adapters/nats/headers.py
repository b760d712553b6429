"""Headers on the wire, read and written as nats-py does, in a third of its time.

A handled event carries 13 headers and passes here four times: delivered, folded, answered by an
append, its answer folded. nats-py looks at every character of every name each time; here a name
is looked at once in the life of the process. What is not plain is left to the library, and
`tests/nats/test_headers.py` holds both to the same result.
"""

import re
from collections.abc import Mapping

from nats.errors import BadHeaderError

VERSION = b"NATS/1.0\r\n"
"""How a header block without an inline status begins."""
NAMES_MAX = 1024
"""Names remembered: more than the platform has, and no sender can make it more."""
NAME_LENGTH_MAX = 256
"""A longer name is not remembered."""
_BLANK = " \t\n\r\x0b\x0c"
"""What the library strips when it reads: the white space of bytes, less than that of text."""
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""A name that may be written (RFC 7230)."""
_ONE_LINE = str.maketrans({"\r": " ", "\n": " "})

_names_read: dict[str, str | None] = {}
"""What stands before a colon → the name, or None where it is no name."""
_names_written: dict[str, str] = {}
"""A name as given → how its line begins, empty where the line is left out."""


def is_plain(block: bytes) -> bool:
    """Whether `read_headers` can read the block: no inline status, nothing outside of ASCII."""
    return block.startswith(VERSION) and block.isascii()


def read_headers(block: bytes) -> dict[str, str]:
    """The headers of a plain block. What is no header is left out; the last of a name counts."""
    headers: dict[str, str] = {}
    for line in block.decode("ascii").split("\r\n")[1:]:
        before, colon, value = line.partition(":")
        if not colon:
            continue
        try:
            name = _names_read[before]
        except KeyError:
            name = _name_read(before)
        if name is not None:
            headers[name] = value.strip(_BLANK)
    return headers


def _name_read(before: str) -> str | None:
    stripped = before.strip(_BLANK)
    name = None if any(character.isspace() for character in stripped) else stripped
    if len(_names_read) < NAMES_MAX and len(before) <= NAME_LENGTH_MAX:
        _names_read[before] = name
    return name


def write_headers(headers: Mapping[str, str]) -> bytes:
    """The block of `headers`. A name is stripped and left out where nothing remains of it, a
    value is stripped and kept on one line; raises `BadHeaderError` for what is no name."""
    lines = ["NATS/1.0"]
    for given, value in headers.items():
        begin = _names_written.get(given)
        if begin is None:
            begin = _name_written(given)
        if begin:
            text = value.strip()
            if "\n" in text or "\r" in text:
                text = text.translate(_ONE_LINE)
            lines.append(begin + text)
    lines.append("\r\n")
    return "\r\n".join(lines).encode()


def _name_written(given: str) -> str:
    name = given.strip()
    if name and not _TOKEN.fullmatch(name):
        raise BadHeaderError(name)
    begin = f"{name}: " if name else ""
    if len(_names_written) < NAMES_MAX and len(given) <= NAME_LENGTH_MAX:
        _names_written[given] = begin
    return begin
