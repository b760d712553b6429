"""Any sender that shows a token: in `Authorization` (Bearer or Basic), or in its own header."""

from collections.abc import Sequence
from datetime import datetime

from penstock_gateway.domain.schemes.proofs import by_authorization, by_token
from penstock_gateway.domain.schemes.reading import at, body_id, json_body
from penstock_gateway.domain.schemes.scheme import Scheme
from penstock_gateway.domain.webhooks import Delivered, Incoming
from penstock_schemas import SourceSpec


def verify(
    incoming: Incoming, source: SourceSpec, keys: Sequence[str], now: datetime
) -> Sequence[Delivered]:
    """See `Verify`."""
    options = source.options
    if options.header:
        by_token(incoming, options.header, keys)
    else:
        by_authorization(incoming, keys)
    document = json_body(incoming)
    id = at(incoming, document, options.id_from) if options.id_from else body_id(incoming)
    kind = at(incoming, document, options.kind_from) if options.kind_from else ""
    return (Delivered(id, kind, document),)


SCHEME = Scheme("bearer", verify, frozenset({"header", "id_from", "kind_from"}))
