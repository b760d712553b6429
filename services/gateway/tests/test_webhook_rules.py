"""Which deliveries are acceptable, and that only the sender's keys open the door."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_gateway.adapters.standard_webhooks import SIGNATURES_MAX, StandardWebhooksVerifier
from penstock_gateway.domain.webhooks import (
    TOLERANCE_SECONDS,
    Refused,
    Stamp,
    read_stamp,
    received,
    webhook_id,
)
from penstock_gateway.testing import signed

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECRET = "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ="
OTHER = "whsec_b3RoZXItb3RoZXItb3RoZXItb3RoZXI="


def headers(**changes: str) -> dict[str, str]:
    _, made = signed(SECRET, "msg-1", {}, NOW)
    return made | {name.replace("_", "-"): value for name, value in changes.items()}


@pytest.mark.parametrize("seconds", [-TOLERANCE_SECONDS, 0, TOLERANCE_SECONDS])
def test_a_delivery_within_the_tolerance_is_read(seconds: float) -> None:
    assert read_stamp(headers(), NOW + timedelta(seconds=seconds)) == Stamp("msg-1")


@pytest.mark.parametrize("seconds", [-TOLERANCE_SECONDS - 1, TOLERANCE_SECONDS + 1])
def test_a_delivery_of_another_time_is_stale(seconds: float) -> None:
    found = read_stamp(headers(), NOW + timedelta(seconds=seconds))
    assert isinstance(found, Refused)
    assert found.kind == "stale"


@pytest.mark.parametrize(
    "changes",
    [
        {"webhook_id": ""},
        {"webhook_id": "x" * 257},
        {"webhook_id": "a\x00b"},
        {"webhook_timestamp": ""},
        {"webhook_timestamp": "yesterday"},
        {"webhook_timestamp": "1e99"},
        {"webhook_timestamp": "9" * 40},
        {"webhook_timestamp": "٣"},
        {"webhook_signature": ""},
    ],
)
def test_headers_that_are_not_readable_are_refused(changes: dict[str, str]) -> None:
    found = read_stamp(headers(**changes), NOW)
    assert isinstance(found, Refused)
    assert found.kind == "headers"


def test_the_id_of_a_delivery_depends_on_namespace_source_and_delivery() -> None:
    ids = {webhook_id(n, s, d) for n in ("a", "b") for s in ("c", "d") for d in ("1", "2")}
    assert len(ids) == 8
    assert received("a", "c", "1", {}).webhook == webhook_id("a", "c", "1")


def test_each_of_several_keys_opens_and_no_other() -> None:
    body, made = signed(SECRET, "msg-1", {"a": 1}, NOW)
    assert StandardWebhooksVerifier(f"{OTHER} {SECRET}").verify(body, made)
    assert not StandardWebhooksVerifier(OTHER).verify(body, made)


def test_one_good_signature_among_several_is_enough() -> None:
    body, made = signed(SECRET, "msg-1", {"a": 1}, NOW)
    made["webhook-signature"] = f"v1a,AAAA v1,AAAA {made['webhook-signature']}"
    assert StandardWebhooksVerifier(SECRET).verify(body, made)
    made["webhook-signature"] = " ".join([made["webhook-signature"]] * SIGNATURES_MAX)
    assert not StandardWebhooksVerifier(SECRET).verify(body, made)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp"])
def test_what_is_signed_cannot_be_changed(name: str) -> None:
    body, made = signed(SECRET, "1", {"a": 1}, NOW)
    verifier = StandardWebhooksVerifier(SECRET)
    assert verifier.verify(body, made)
    assert not verifier.verify(body, made | {name: made[name] + "1"})
    assert not verifier.verify(body + b" ", made)


@given(st.text(st.characters(codec="latin-1")))
def test_no_other_text_is_a_signature(text: str) -> None:
    body, made = signed(SECRET, "1", {"a": 1}, NOW)
    if made["webhook-signature"] not in text:
        assert not StandardWebhooksVerifier(SECRET).verify(body, made | {"webhook-signature": text})


@pytest.mark.parametrize("secret", ["", "   ", "whsec_", "whsec_\u00e9"])
def test_a_secret_that_is_none_is_refused_at_the_start(secret: str) -> None:
    with pytest.raises(ValueError, match="webhook secret"):
        StandardWebhooksVerifier(secret)
