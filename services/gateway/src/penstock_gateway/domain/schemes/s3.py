"""Notifications of buckets: MinIO's (and Amazon's form), and those of SeaweedFS's filer.

Neither has an id of a delivery. A record is one change of one object: its name, bucket, key,
version and sequencer identify it, and each becomes an event of its own. SeaweedFS sends one change
a request; its retry has the same bytes.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from penstock_gateway.domain.schemes.proofs import by_authorization
from penstock_gateway.domain.schemes.reading import body_id, digest_id, json_body, text_of
from penstock_gateway.domain.schemes.scheme import Scheme
from penstock_gateway.domain.webhooks import Delivered, Incoming, Refused
from penstock_schemas import SourceSpec


def verify(
    incoming: Incoming, source: SourceSpec, keys: Sequence[str], now: datetime
) -> Sequence[Delivered]:
    """See `Verify`."""
    by_authorization(incoming, keys)
    document = json_body(incoming)
    if isinstance(document, dict) and "Records" in document:
        records = document["Records"]
        if not isinstance(records, list) or not records:
            raise Refused("body", "Records: there is none")
        return [Delivered(_id(one), text_of(one, "eventName"), one) for one in records]
    kind = text_of(document, "event_type") or text_of(document, "Event")
    return (Delivered(body_id(incoming), kind, document),)


def _id(record: Any) -> str:
    sequencer = text_of(record, "s3", "object", "sequencer")
    if not sequencer:
        return digest_id(record)
    return digest_id(
        text_of(record, "eventName"),
        text_of(record, "s3", "bucket", "name"),
        text_of(record, "s3", "object", "key"),
        text_of(record, "s3", "object", "versionId"),
        sequencer,
    )


SCHEME = Scheme("s3", verify)
