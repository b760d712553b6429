"""Prometheus' Alertmanager: a token or user and password in `Authorization`.

It has no id of a delivery and tells of a group again and again while it fires (`repeat_interval`),
and each of a pair of Alertmanagers tells it. A delivery is therefore the group, its status, and
which alerts started and ended when: told again unchanged, it has no second effect.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from penstock_gateway.domain.schemes.proofs import by_authorization
from penstock_gateway.domain.schemes.reading import digest_id, json_body, text_of
from penstock_gateway.domain.schemes.scheme import Scheme
from penstock_gateway.domain.webhooks import Delivered, Incoming, Refused
from penstock_schemas import SourceSpec

ALERT_FIELDS = ("fingerprint", "status", "startsAt")


def verify(
    incoming: Incoming, source: SourceSpec, keys: Sequence[str], now: datetime
) -> Sequence[Delivered]:
    """See `Verify`."""
    by_authorization(incoming, keys)
    document = json_body(incoming)
    alerts = document.get("alerts") if isinstance(document, dict) else None
    if not isinstance(alerts, list):
        raise Refused("body", "alerts: a list of alerts is needed")
    status = text_of(document, "status")
    told = sorted(_alert(one) for one in alerts)
    names = (text_of(document, "receiver"), text_of(document, "groupKey"))
    return (Delivered(digest_id(*names, status, told), status, document),)


def _alert(alert: Any) -> list[str]:
    words = [text_of(alert, name) for name in ALERT_FIELDS]
    # While it fires, `endsAt` is a guess that moves; once resolved it is a fact.
    ended = text_of(alert, "endsAt") if text_of(alert, "status") == "resolved" else ""
    return [*words, ended]


SCHEME = Scheme("alertmanager", verify)
