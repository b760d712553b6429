"""Signatures of Standard Webhooks (standardwebhooks.com, HMAC-SHA256), by its own library.

The age of a delivery is judged by the domain, on the platform's clock; the library's own check
of it reads the machine's clock, so signatures are made by it and compared here.
"""

import base64
import binascii
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime

from standardwebhooks import Webhook

SIGNATURES_MAX = 20
"""Signatures that one header may list; senders list one for each of their keys."""
_SCHEME = "v1"


class StandardWebhooksVerifier:
    """`SignatureVerifier` for one sender; several secrets (by spaces) while keys rotate.

    Raises `ValueError` for a secret that is not `whsec_` and base64.
    """

    def __init__(self, secrets: str) -> None:
        try:
            self._keys = [Webhook(secret) for secret in secrets.split()]
        except Exception as error:  # noqa: BLE001 - the library raises what base64 raises, and more
            raise ValueError(f"a webhook secret is not whsec_<base64>: {error}") from None
        if not self._keys:
            raise ValueError("a webhook secret is empty: write whsec_<base64>")

    def verify(self, body: bytes, headers: Mapping[str, str]) -> bool:
        """See `SignatureVerifier.verify`."""
        given = [_decoded(word) for word in headers["webhook-signature"].split(" ")]
        if len(given) > SIGNATURES_MAX:
            return False
        try:
            text = body.decode()
            signed_at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
        except (ValueError, OverflowError, OSError):
            return False
        answers = [
            hmac.compare_digest(_decoded(key.sign(headers["webhook-id"], signed_at, text)), word)
            for key in self._keys
            for word in given
        ]
        return any(answers)


def _decoded(word: str) -> bytes:
    """The bytes of one signature; of another scheme or not readable, bytes that equal none."""
    scheme, _, signature = word.partition(",")
    if scheme != _SCHEME:
        return b""
    try:
        return base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        return b""
