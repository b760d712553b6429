"""Digests: `<algorithm>:<hex>`. BLAKE3 for what we write, SHA-256 understood for what we read."""

import hashlib
from typing import Any

from blake3 import blake3

ALGORITHM = "blake3"


class Hasher:
    """A running digest, perhaps with the one that it must become."""

    def __init__(self, algorithm: str, expected: str | None) -> None:
        self.expected = expected
        self._algorithm = algorithm
        self._hash: Any = blake3() if algorithm == ALGORITHM else hashlib.new(algorithm)

    def update(self, data: bytes) -> None:
        """Take more bytes in."""
        self._hash.update(data)

    def digest(self) -> str:
        """The digest of everything so far."""
        return f"{self._algorithm}:{self._hash.hexdigest()}"

    def matches(self) -> bool:
        """Whether it is the expected one."""
        return self.digest() == self.expected


def new_hasher(expected: str | None = None) -> Hasher:
    """A hasher of our algorithm, or of the one that `expected` names."""
    algorithm = expected.partition(":")[0] if expected else ALGORITHM
    return Hasher(algorithm, expected)


def digest_of(data: bytes) -> str:
    """The digest of bytes."""
    hasher = new_hasher()
    hasher.update(data)
    return hasher.digest()
