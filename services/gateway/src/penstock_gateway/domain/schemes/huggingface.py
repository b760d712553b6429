"""The Hugging Face Hub: the secret itself in `X-Webhook-Secret`.

It gives no id of a delivery, so the body is: a retry has the same bytes, and any other delivery
has another commit, discussion or comment in it.
"""

from collections.abc import Sequence
from datetime import datetime

from penstock_gateway.domain.schemes.proofs import by_token
from penstock_gateway.domain.schemes.reading import body_id, json_body, text_of
from penstock_gateway.domain.schemes.scheme import Scheme
from penstock_gateway.domain.webhooks import Delivered, Incoming
from penstock_schemas import SourceSpec


def verify(
    incoming: Incoming, source: SourceSpec, keys: Sequence[str], now: datetime
) -> Sequence[Delivered]:
    """See `Verify`."""
    by_token(incoming, "x-webhook-secret", keys)
    document = json_body(incoming)
    words = (text_of(document, "event", "scope"), text_of(document, "event", "action"))
    return (Delivered(body_id(incoming), ".".join(filter(None, words)), document),)


SCHEME = Scheme("huggingface", verify)
