"""MLflow's registry webhooks (MLflow 3): as Standard Webhooks, under names of their own.

`X-MLflow-Signature: v1,<base64>` is the HMAC-SHA256 of `<delivery id>.<timestamp>.<body>`; the key
is the secret's text as it is, not base64 (read in `mlflow/webhooks/delivery.py` of MLflow 3.17).
"""

from collections.abc import Sequence
from datetime import datetime

from penstock_gateway.domain.schemes.proofs import (
    hmacs,
    is_one_of,
    must_be_fresh,
    prove,
)
from penstock_gateway.domain.schemes.reading import json_body, text_of
from penstock_gateway.domain.schemes.scheme import Scheme
from penstock_gateway.domain.webhooks import Delivered, Incoming
from penstock_schemas import SourceSpec


def verify(
    incoming: Incoming, source: SourceSpec, keys: Sequence[str], now: datetime
) -> Sequence[Delivered]:
    """See `Verify`."""
    id, timestamp = incoming.header("x-mlflow-delivery-id"), incoming.header("x-mlflow-timestamp")
    version, _, signature = incoming.header("x-mlflow-signature").partition(",")
    given = [signature] if version == "v1" else []
    signed = f"{id}.{timestamp}.".encode() + incoming.body
    expected = hmacs([key.encode() for key in keys], signed)
    prove(is_one_of(given, expected, "base64"), "x-mlflow-signature")
    must_be_fresh(timestamp, source, now)
    document = json_body(incoming)
    kind = ".".join(filter(None, (text_of(document, "entity"), text_of(document, "action"))))
    return (Delivered(id, kind, document),)


SCHEME = Scheme("mlflow", verify)
