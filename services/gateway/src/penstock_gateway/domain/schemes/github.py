"""GitHub (and Gitea, Forgejo in its form): HMAC-SHA256 of the body in `X-Hub-Signature-256`.

The id in `X-GitHub-Delivery` is not signed, as GitHub has it; a redelivery has the same one.
"""

from collections.abc import Sequence
from datetime import datetime

from penstock_gateway.domain.schemes.proofs import hmacs, is_one_of, prove
from penstock_gateway.domain.schemes.reading import json_body
from penstock_gateway.domain.schemes.scheme import Scheme
from penstock_gateway.domain.webhooks import Delivered, Incoming
from penstock_schemas import SourceSpec


def verify(
    incoming: Incoming, source: SourceSpec, keys: Sequence[str], now: datetime
) -> Sequence[Delivered]:
    """See `Verify`."""
    algorithm, _, signature = incoming.header("x-hub-signature-256").partition("=")
    given = [signature] if algorithm == "sha256" else []
    expected = hmacs([key.encode() for key in keys], incoming.body)
    prove(is_one_of(given, expected), "x-hub-signature-256")
    document = json_body(incoming)
    id, kind = incoming.header("x-github-delivery"), incoming.header("x-github-event")
    return (Delivered(id, kind, document),)


SCHEME = Scheme("github", verify)
