"""Signatures of Standard Webhooks (standardwebhooks.com, HMAC-SHA256), by its own library."""

import base64
import binascii
from collections.abc import Mapping

from standardwebhooks import Webhook, WebhookVerificationError


class StandardWebhooksVerifier:
    """`SignatureVerifier` for one sender; several secrets (by spaces) while keys rotate.

    Raises `ValueError` for a secret that is not `whsec_` and base64.
    """

    def __init__(self, secrets: str) -> None:
        try:
            self._keys = [Webhook(secret) for secret in secrets.split()]
        except (ValueError, binascii.Error, RuntimeError) as error:
            raise ValueError(f"a webhook secret is not whsec_<base64>: {error}") from None
        if not self._keys:
            raise ValueError("a webhook secret is empty: write whsec_<base64>")

    def verify(self, body: bytes, headers: Mapping[str, str]) -> bool:
        """See `SignatureVerifier.verify`."""
        answers = [_signed(key, body, headers) for key in self._keys]
        return any(answers)


def new_secret(random_bytes: bytes) -> str:
    """A secret to share with a sender."""
    return "whsec_" + base64.b64encode(random_bytes).decode()


def _signed(key: Webhook, body: bytes, headers: Mapping[str, str]) -> bool:
    try:
        key.verify(body, dict(headers), json_parse=False)
    except (WebhookVerificationError, ValueError):  # a signature header that is not readable
        return False
    return True
