"""Any sender that puts an HMAC into a header: which header, form, hash and signed text are options.

Slack, for example: header `X-Slack-Signature`, prefix `v0=`, signed `v0:{timestamp}:{body}`,
timestamp header `X-Slack-Request-Timestamp`.
"""

from collections.abc import Sequence
from datetime import datetime

from penstock_gateway.domain.schemes.proofs import (
    hmacs,
    is_one_of,
    must_be_fresh,
    prove,
)
from penstock_gateway.domain.schemes.reading import at, body_id, json_body
from penstock_gateway.domain.schemes.scheme import Fault, Scheme
from penstock_gateway.domain.webhooks import Delivered, Incoming
from penstock_schemas import SourceSpec

HEADER_PLACE = "header:"
PROOF_OPTIONS = frozenset(
    {"header", "prefix", "encoding", "algorithm", "signed", "timestamp_header", "id_from"}
)


def verify(
    incoming: Incoming, source: SourceSpec, keys: Sequence[str], now: datetime
) -> Sequence[Delivered]:
    """See `Verify`."""
    prove_hmac(incoming, source, keys, now)
    document, options = json_body(incoming), source.options
    id = at(incoming, document, options.id_from) if options.id_from else body_id(incoming)
    kind = at(incoming, document, options.kind_from) if options.kind_from else ""
    return (Delivered(id, kind, document),)


def prove_hmac(incoming: Incoming, source: SourceSpec, keys: Sequence[str], now: datetime) -> None:
    """One of the keys signed what the options say. Raises `Refused`."""
    options = source.options
    given = incoming.header(options.header)
    signature = given.removeprefix(options.prefix) if given.startswith(options.prefix) else ""
    timestamp = incoming.header(options.timestamp_header) if options.timestamp_header else ""
    before, _, after = options.signed.partition("{body}")
    id = incoming.header(options.id_from.removeprefix(HEADER_PLACE))
    parts = [
        part.replace("{timestamp}", timestamp).replace("{id}", id).encode()
        for part in (before, after)
    ]
    expected = hmacs([key.encode() for key in keys], incoming.body.join(parts), options.algorithm)
    prove(is_one_of([signature], expected, options.encoding), options.header)
    if options.timestamp_header:
        must_be_fresh(timestamp, source, now)


def check(source: SourceSpec) -> Fault | None:
    """What the options lack, so that the proof means something."""
    options = source.options
    if not options.header:
        return "options.header", "the header with the signature is needed", "e.g. X-Signature"
    if options.signed.count("{body}") != 1:
        return "options.signed", "the body must be signed, once", "write {body} in it once"
    if ("{timestamp}" in options.signed) != bool(options.timestamp_header):
        fix = "give both: {timestamp} in `signed`, and `timestamp_header`"
        return "options.timestamp_header", "a time counts only where it is signed", fix
    if "{id}" in options.signed and not options.id_from.startswith(HEADER_PLACE):
        return "options.id_from", "a signed id stands in a header", "write header:<name>"
    return None


SCHEME = Scheme("hmac", verify, PROOF_OPTIONS | {"kind_from"}, check)
