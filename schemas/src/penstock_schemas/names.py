"""The names and ids that may stand in a subject, a URL and a command line.

One rule for all of them, the one of Kubernetes labels: lower-case letters, digits and hyphens,
starting and ending with a letter or digit, at most 63 characters. A UUID obeys it too, so a
single type serves for things that a person names and for things that the platform names.
"""

import os
import re
import time
from hashlib import sha1
from typing import Annotated
from uuid import UUID

from pydantic import StringConstraints

NAME_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
NAME_LENGTH_MAX = 63
EXPERIMENT_LENGTH_MAX = 57
"""An experiment's trials are named `<experiment>-<number>`, so its own name is a little shorter."""

Name = Annotated[
    str, StringConstraints(pattern=NAME_PATTERN, min_length=1, max_length=NAME_LENGTH_MAX)
]
ExperimentName = Annotated[
    str, StringConstraints(pattern=NAME_PATTERN, min_length=1, max_length=EXPERIMENT_LENGTH_MAX)
]
Digest = Annotated[str, StringConstraints(pattern=r"^(blake3|sha256):[0-9a-f]{64}$")]

SYSTEM_NAMESPACE = "system"
"""The namespace of what belongs to no team: nodes and the scheduler's ledger."""

_NAME = re.compile(NAME_PATTERN)
_DERIVED = UUID("6f1a4f0e-6a5b-5c0b-9b39-7f1d4ad0c2a5").bytes


def is_name(text: str) -> bool:
    """Whether `text` may be a name or an id."""
    return len(text) <= NAME_LENGTH_MAX and _NAME.match(text) is not None and "\n" not in text


def new_id(now_ms: int | None = None, entropy: bytes | None = None) -> str:
    """A fresh UUIDv7 (RFC 9562 §5.7): 48 bits of Unix milliseconds, then randomness.

    The arguments are for tests and simulations: `now_ms` is Unix time in milliseconds and
    `entropy` is ten bytes.
    """
    milliseconds = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    random = os.urandom(10) if entropy is None else entropy
    raw = bytearray((milliseconds & (1 << 48) - 1).to_bytes(6, "big") + random)
    raw[6] = 0x70 | raw[6] & 0x0F
    raw[8] = 0x80 | raw[8] & 0x3F
    return str(UUID(bytes=bytes(raw)))


def derived_id(cause: str, purpose: str, number: int = 0) -> str:
    """The id that a redelivered handler makes again: uuid5 of cause, purpose and count."""
    name = f"{cause}\n{purpose}\n{number}".encode()
    digest = bytearray(sha1(_DERIVED + name, usedforsecurity=False).digest()[:16])
    digest[6] = 0x50 | digest[6] & 0x0F  # what uuid.uuid5 does, in a third of its time
    digest[8] = 0x80 | digest[8] & 0x3F
    text = digest.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
