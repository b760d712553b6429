"""How senders prove themselves: tokens, HMAC signatures, signed times. All in constant time.

Every proof looks at every secret and every signature, whatever the first ones say, so that the
time tells nothing of which one it was.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime

from penstock_gateway.domain.webhooks import Incoming, Refused
from penstock_schemas import SourceSpec

SIGNATURES_MAX = 20
"""Signatures that one header may list; senders list one for each of their keys."""
TIMESTAMP_LENGTH_MAX = 12


def prove(proven: bool, what: str) -> None:
    """Refuse as unproven, unless it is proven."""
    if not proven:
        raise Refused("unproven", f"{what} is missing or not by one of the source's secrets")


def equals_one(given: bytes, expected: Sequence[bytes]) -> bool:
    """Whether bytes from outside equal one of ours. Compared by digest: the time says neither
    where they differ nor how long ours are."""
    mine = hashlib.sha256(given).digest()
    return sum(hmac.compare_digest(mine, hashlib.sha256(one).digest()) for one in expected) > 0


def by_token(incoming: Incoming, header: str, keys: Sequence[str]) -> None:
    """The header holds a secret itself."""
    given = incoming.header(header)
    found = equals_one(raw(given), [key.encode() for key in keys])
    prove(found and bool(given), header)


def by_authorization(incoming: Incoming, keys: Sequence[str]) -> None:
    """`Authorization: Bearer <secret>`, or `Basic` with a secret `<user>:<password>`."""
    kind, _, rest = incoming.header("authorization").partition(" ")
    given = raw(f"{kind.lower()} {rest.strip()}")
    expected = [f"bearer {key}".encode() for key in keys]
    expected += [b"basic " + base64.b64encode(key.encode()) for key in keys]
    prove(equals_one(given, expected), "authorization")


def hmacs(keys: Sequence[bytes], signed: bytes, algorithm: str = "sha256") -> list[bytes]:
    """The HMAC of the signed bytes under each key."""
    return [hmac.new(key, signed, algorithm).digest() for key in keys]


def is_one_of(given: Sequence[str], expected: Sequence[bytes], encoding: str = "hex") -> bool:
    """Whether a signature from outside is the one way to write one of the expected ones."""
    if len(given) > SIGNATURES_MAX:
        return False
    ours = [one.hex().encode() if encoding == "hex" else base64.b64encode(one) for one in expected]
    return sum(hmac.compare_digest(raw(one), own) for one in given for own in ours) > 0


def from_base64(text: str) -> bytes:
    """The bytes of a signature in its one base64 form; of another form, none."""
    try:
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
    return found if base64.b64encode(found).decode() == text else b""


def raw(header: str) -> bytes:
    """A header's bytes as they were sent: HTTP servers read them as Latin-1."""
    return header.encode("latin-1", "replace")


def must_be_fresh(timestamp: str, source: SourceSpec, now: datetime) -> None:
    """The time that a proven sender signed is near ours."""
    readable = timestamp.isascii() and timestamp.isdigit()
    if not readable or len(timestamp) > TIMESTAMP_LENGTH_MAX:
        raise Refused("headers", "the timestamp is not in whole seconds since 1970")
    if abs(now.timestamp() - int(timestamp)) > source.tolerance_seconds:
        raise Refused(
            "stale", f"the timestamp is more than {source.tolerance_seconds:g} s from our clock"
        )
