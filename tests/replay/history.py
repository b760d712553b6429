"""Recorded histories: the event log of a real run as JSON Lines, one stored message a line.

A line holds the sequence, the time, the subject, the headers and the payload: as JSON where that
gives back the very bytes, else as text (`payload_text`) or base64 (`payload_base64`).
"""

import base64
import json
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from penstock_chassis.ports import StoredMessage

HISTORIES = Path(__file__).parent / "histories"
KEPT_HEADERS = ("ce-", "traceparent")
"""Beginnings of the headers that belong to an event; the others served its append."""


def read_history(path: Path) -> list[StoredMessage]:
    """The messages of a history, in order."""
    with path.open(encoding="utf-8") as lines:
        return [_message(json.loads(line)) for line in lines]


def write_history(path: Path, messages: Iterable[StoredMessage]) -> None:
    """Write a history."""
    lines = [json.dumps(_line(message), ensure_ascii=False) + "\n" for message in messages]
    path.write_text("".join(lines), encoding="utf-8")


def _message(line: dict[str, Any]) -> StoredMessage:
    if "payload" in line:
        payload = _compact(line["payload"])
    elif "payload_text" in line:
        payload = str(line["payload_text"]).encode()
    else:
        payload = base64.b64decode(line["payload_base64"])
    time = datetime.fromisoformat(line["time"])
    return StoredMessage(line["subject"], payload, line["headers"], line["sequence"], time)


def _line(message: StoredMessage) -> dict[str, Any]:
    headers = {
        name: value
        for name, value in sorted(message.headers.items())
        if name.lower().startswith(KEPT_HEADERS)
    }
    return {
        "sequence": message.sequence,
        "time": message.time.isoformat(),
        "subject": message.subject,
        "headers": headers,
        **_written(message.payload),
    }


def _written(payload: bytes) -> dict[str, Any]:
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return {"payload_base64": base64.b64encode(payload).decode()}
    try:
        value = json.loads(text)
    except ValueError:
        return {"payload_text": text}
    return {"payload": value} if _compact(value) == payload else {"payload_text": text}


def _compact(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
