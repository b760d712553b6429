"""Server-sent events, read from bytes (WHATWG HTML §9.2.6).

Lines end at LF or CR LF alone: JSON may hold characters that Python's `splitlines` would split at.
"""

from typing import NamedTuple

MESSAGE_BYTES_MAX = 16 * 2**20


class Message(NamedTuple):
    """One event of the stream; `data` is empty for a comment, which only shows that it lives."""

    data: str
    id: str = ""


class Decoder:
    """Bytes in, messages out; one decoder a connection."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[str] = []
        self._id = ""

    def feed(self, chunk: bytes) -> list[Message]:
        """The messages that are complete with `chunk`. Raises `ValueError` for an endless one."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > MESSAGE_BYTES_MAX:
            raise ValueError(f"a message of the stream is longer than {MESSAGE_BYTES_MAX} bytes")
        found = (self._line(line.removesuffix(b"\r").decode()) for line in lines)
        return [message for message in found if message is not None]

    def _line(self, line: str) -> Message | None:
        if not line:
            message = Message("\n".join(self._data), self._id) if self._data else None
            self._data = []
            return message
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not name:
            return Message("")
        if name == "data":
            self._data.append(value)
        elif name == "id":
            self._id = value
        return None
