"""Standard Webhooks (standardwebhooks.com): HMAC-SHA256 (`v1`) and ed25519 (`v1a`).

Secrets are `whsec_<base64>`, or `whpk_<base64>` for the public key of a sender that signs with
ed25519. Signed is `<id>.<timestamp>.<body>`, byte for byte.
"""

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from penstock_gateway.domain.schemes.proofs import (
    SIGNATURES_MAX,
    from_base64,
    hmacs,
    is_one_of,
    must_be_fresh,
    prove,
)
from penstock_gateway.domain.schemes.reading import json_body, text_of
from penstock_gateway.domain.schemes.scheme import Scheme
from penstock_gateway.domain.webhooks import Delivered, Incoming
from penstock_schemas import SourceSpec

SECRET, PUBLIC_KEY = "whsec_", "whpk_"


def verify(
    incoming: Incoming, source: SourceSpec, keys: Sequence[str], now: datetime
) -> Sequence[Delivered]:
    """See `Verify`."""
    prove_signature(incoming, source, keys, now)
    document = json_body(incoming)
    return (Delivered(incoming.header("webhook-id"), text_of(document, "type"), document),)


def prove_signature(
    incoming: Incoming, source: SourceSpec, keys: Sequence[str], now: datetime
) -> None:
    """One of the keys signed the request, at a time near ours. Raises `Refused`."""
    timestamp = incoming.header("webhook-timestamp")
    signed = f"{incoming.header('webhook-id')}.{timestamp}.".encode() + incoming.body
    given = incoming.header("webhook-signature").split(" ")
    words = [word.partition(",") for word in given[: SIGNATURES_MAX + 1]]
    symmetric = [text for version, _, text in words if version == "v1"]
    asymmetric = [from_base64(text) for version, _, text in words if version == "v1a"]
    secrets = [key for key in map(secret_bytes, keys) if key]
    proven = is_one_of(symmetric, hmacs(secrets, signed), "base64")
    proven |= _signed_by_one(asymmetric, keys, signed)
    prove(proven and len(words) <= SIGNATURES_MAX, "webhook-signature")
    must_be_fresh(timestamp, source, now)


def secret_bytes(text: str) -> bytes:
    """The key of a symmetric secret; empty where the text is none."""
    if text.startswith(PUBLIC_KEY):
        return b""
    return _decoded(text.removeprefix(SECRET))


def _signed_by_one(signatures: Sequence[bytes], keys: Sequence[str], signed: bytes) -> bool:
    found = False
    for key in keys:
        raw = _decoded(key.removeprefix(PUBLIC_KEY)) if key.startswith(PUBLIC_KEY) else b""
        if len(raw) != 32:
            continue
        public = Ed25519PublicKey.from_public_bytes(raw)
        for signature in signatures:
            try:
                public.verify(signature, signed)
            except InvalidSignature:
                continue
            found = True
    return found


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return b""


SCHEME = Scheme("standard", verify)
