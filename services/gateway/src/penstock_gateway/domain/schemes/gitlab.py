"""GitLab: the signing token (Standard Webhooks' headers), or the older secret token.

A secret `whsec_<base64>` is a signing token, any other a secret token in `X-Gitlab-Token`. The id
is `Idempotency-Key`, which stays over retries. `X-Gitlab-Event-UUID` alone would not do: events
that one webhook sets off by another share it.
"""

from collections.abc import Sequence
from datetime import datetime

from penstock_gateway.domain.schemes.proofs import by_token
from penstock_gateway.domain.schemes.reading import body_id, digest_id, json_body
from penstock_gateway.domain.schemes.scheme import Scheme
from penstock_gateway.domain.schemes.standard import SECRET, prove_signature
from penstock_gateway.domain.webhooks import Delivered, Incoming
from penstock_schemas import SourceSpec


def verify(
    incoming: Incoming, source: SourceSpec, keys: Sequence[str], now: datetime
) -> Sequence[Delivered]:
    """See `Verify`."""
    signing = [key for key in keys if key.startswith(SECRET)]
    if signing and incoming.header("webhook-signature"):
        prove_signature(incoming, source, signing, now)
    else:
        by_token(incoming, "x-gitlab-token", [key for key in keys if key not in signing])
    return (Delivered(_id(incoming), incoming.header("x-gitlab-event"), json_body(incoming)),)


def _id(incoming: Incoming) -> str:
    given = incoming.header("webhook-id") or incoming.header("idempotency-key")
    return given or digest_id(incoming.header("x-gitlab-event-uuid"), body_id(incoming))


SCHEME = Scheme("gitlab", verify)
