"""What a job printed, put together from the pieces that its trainer sent. Pure.

A piece is `{"attempt": 1, "rank": 0, "offset": 0, "bytes": 12, "text": "…"}`: it lies at `offset`
of that rank's output and is so many bytes long. Pieces may come twice or overlap.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class _Output:
    """One rank's output as far as it is known."""

    text: list[str] = field(default_factory=list)
    end_bytes: int = 0

    def add(self, offset: int, size_bytes: int, text: str) -> None:
        if offset + size_bytes <= self.end_bytes:
            return  # known already
        if offset > self.end_bytes:
            self.text.append(f"\n[{offset - self.end_bytes} bytes left out]\n")
        known = max(0, self.end_bytes - offset)
        self.text.append(text.encode()[known:].decode(errors="replace") if known else text)
        self.end_bytes = offset + size_bytes


def log_text(pieces: Iterable[bytes]) -> str:
    """The whole output: attempt after attempt, rank after rank, each named where there are several.

    What is no piece stands as it is, at the end, so that nothing printed is hidden.
    """
    outputs: dict[tuple[int, int], _Output] = {}
    strange = ""
    for payload in pieces:
        piece = _piece(payload)
        if piece is None:
            strange += _ended(payload.decode(errors="replace"))
            continue
        output = outputs.setdefault((piece["attempt"], piece["rank"]), _Output())
        output.add(piece["offset"], piece["bytes"], piece["text"])
    named = len(outputs) > 1
    known = "".join(
        (f"--- attempt {attempt}, rank {rank} ---\n" if named else "")
        + _ended("".join(output.text))
        for (attempt, rank), output in sorted(outputs.items())
    )
    return known + strange


def _piece(payload: bytes) -> dict[str, Any] | None:
    try:
        piece = json.loads(payload)
    except ValueError:
        return None
    if not isinstance(piece, dict) or not isinstance(piece.get("text"), str):
        return None
    piece.setdefault("bytes", len(piece["text"].encode()))
    numbers = [piece.get(name) for name in ("attempt", "rank", "offset", "bytes")]
    return piece if all(type(number) is int for number in numbers) else None


def _ended(text: str) -> str:
    return text if not text or text.endswith("\n") else text + "\n"
