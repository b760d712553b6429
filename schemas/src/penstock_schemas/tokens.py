"""API tokens as text: `pst_`, 32 random characters, 6 of a checksum.

The prefix and the checksum (CRC-32, base 62, as GitHub's tokens have them) let a scanner of
repositories and logs find one, and let a typing error be told from a revoked token without asking.
A token has 190 random bits, so a plain SHA-256 keeps it: nobody can try 2^190 inputs, and a slow
hash, which protects passwords that people choose, would only cost each request its time.
"""

import secrets
import string
from hashlib import sha256
from zlib import crc32

PREFIX = "pst_"
RANDOM_LENGTH = 32
CHECKSUM_LENGTH = 6
TOKEN_LENGTH = len(PREFIX) + RANDOM_LENGTH + CHECKSUM_LENGTH
ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase


def make_token() -> str:
    """A fresh token."""
    body = PREFIX + "".join(secrets.choice(ALPHABET) for _ in range(RANDOM_LENGTH))
    return body + _checksum(body)


def hash_of(token: str) -> str:
    """What is kept of a token: `sha256:<hex>`."""
    return f"sha256:{sha256(token.encode()).hexdigest()}"


def well_formed(token: str) -> bool:
    """Whether the text is a token as `make_token` makes them; says nothing of its being known."""
    return (
        len(token) == TOKEN_LENGTH
        and token.startswith(PREFIX)
        and token.isascii()
        and _checksum(token[:-CHECKSUM_LENGTH]) == token[-CHECKSUM_LENGTH:]
    )


def _checksum(body: str) -> str:
    number = crc32(body.encode())
    digits = ""
    for _ in range(CHECKSUM_LENGTH):
        number, digit = divmod(number, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits
