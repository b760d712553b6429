"""Every scheme: what its senders send opens, and no changed byte of it does."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from penstock_gateway.domain.schemes import SCHEMES
from penstock_gateway.domain.schemes.proofs import SIGNATURES_MAX
from penstock_gateway.domain.schemes.reading import DEPTH_MAX
from penstock_gateway.domain.sources import fault_of
from penstock_gateway.domain.webhooks import Delivered, Incoming, Refused, received, webhook_id
from penstock_schemas import SourceOptions, SourceSpec

NOW = datetime(2026, 1, 1, tzinfo=UTC)
STAMP = str(int(NOW.timestamp()))
PRIVATE = Ed25519PrivateKey.from_private_bytes(b"p" * 32)
PUBLIC = "whpk_" + base64.b64encode(PRIVATE.public_key().public_bytes_raw()).decode()
WHSEC = "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ="
TEXT_SECRET = "It's a secret to everybody"
JSON = {"content-type": "application/json"}
NO_OPTIONS = SourceOptions()

AFTER_PROOF = {"", "type", "body", "headers"}

Headers = dict[str, str]
Send = Callable[[bytes], Headers]


@dataclass(frozen=True)
class Sender:
    """How one kind of sender sends a body, and which of its headers prove it."""

    scheme: str
    secret: str
    send: Send
    proof: Sequence[str]
    """Headers that must be as they were sent."""
    document: Any
    id: str
    kind: str = ""
    options: SourceOptions = NO_OPTIONS
    signs_body: bool = True
    signs_time: str = ""
    """The header with the signed time."""

    def spec(self, **more: Any) -> SourceSpec:
        return SourceSpec(scheme=self.scheme, secrets=("k",), options=self.options, **more)

    def delivery(self) -> Incoming:
        body = self.document if isinstance(self.document, bytes) else _dump(self.document)
        return Incoming(JSON | self.send(body), body)


def _dump(document: Any) -> bytes:
    return json.dumps(document).encode()


def _digest(key: bytes, signed: bytes, algorithm: str = "sha256") -> bytes:
    return hmac.new(key, signed, algorithm).digest()


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def standard(body: bytes) -> Headers:
    signature = Webhook(WHSEC).sign("msg-1", NOW, body.decode())
    return {"webhook-id": "msg-1", "webhook-timestamp": STAMP, "webhook-signature": signature}


def standard_ed25519(body: bytes) -> Headers:
    signature = PRIVATE.sign(f"msg-1.{STAMP}.".encode() + body)
    words = f"v1,AAAA v1a,{_b64(signature)}"
    return {"webhook-id": "msg-1", "webhook-timestamp": STAMP, "webhook-signature": words}


def github(body: bytes) -> Headers:
    digest = _digest(TEXT_SECRET.encode(), body).hex()
    return {
        "x-hub-signature-256": f"sha256={digest}",
        "x-github-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
        "x-github-event": "push",
    }


def slack(body: bytes) -> Headers:
    digest = _digest(TEXT_SECRET.encode(), f"v0:{STAMP}:".encode() + body).hex()
    return {"x-slack-signature": f"v0={digest}", "x-slack-request-timestamp": STAMP}


def hmac_base64(body: bytes) -> Headers:
    return {
        "x-signature": _b64(_digest(TEXT_SECRET.encode(), b"d-1." + body, "sha512")),
        "x-delivery": "d-1",
    }


def mlflow(body: bytes) -> Headers:
    signed = f"8a6b.{STAMP}.".encode() + body
    return {
        "x-mlflow-signature": f"v1,{_b64(_digest(TEXT_SECRET.encode(), signed))}",
        "x-mlflow-delivery-id": "8a6b",
        "x-mlflow-timestamp": STAMP,
    }


def bearer(body: bytes) -> Headers:
    return {"authorization": f"Bearer {TEXT_SECRET}"}


def basic(body: bytes) -> Headers:
    return {"authorization": f"Basic {_b64(b'am:pass')}"}


EVENT = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data": {"a": 1}}
RECORD = {
    "eventName": "s3:ObjectCreated:Put",
    "s3": {
        "bucket": {"name": "flights"},
        "object": {"key": "2013%2F04.parquet", "size": 7, "sequencer": "17D3A1"},
    },
}
ALERTS = {
    "receiver": "penstock",
    "status": "firing",
    "groupKey": '{}:{alertname="Drift"}',
    "alerts": [{"fingerprint": "ab", "status": "firing", "startsAt": "2026-01-01T00:00:00Z"}],
}
SENDERS = {
    "standard": Sender(
        "standard", WHSEC, standard,
        ("webhook-id", "webhook-timestamp", "webhook-signature"),
        {"type": "months.arrived"}, "msg-1", "months.arrived", signs_time="webhook-timestamp",
    ),
    "standard ed25519": Sender(
        "standard", PUBLIC, standard_ed25519,
        ("webhook-id", "webhook-timestamp"), {"a": 1}, "msg-1", signs_time="webhook-timestamp",
    ),
    "github": Sender(
        "github", TEXT_SECRET, github, ("x-hub-signature-256",),
        {"ref": "refs/heads/main"}, "72d3162e-cc78-11e3-81ab-4c9367dc0958", "push",
    ),
    "gitlab token": Sender(
        "gitlab", TEXT_SECRET,
        lambda _: {
            "x-gitlab-token": TEXT_SECRET, "x-gitlab-event": "Push Hook", "idempotency-key": "i-1"
        },
        ("x-gitlab-token",), {"object_kind": "push"}, "i-1", "Push Hook", signs_body=False,
    ),
    "gitlab signed": Sender(
        "gitlab", WHSEC, lambda body: standard(body) | {"x-gitlab-event": "Push Hook"},
        ("webhook-id", "webhook-timestamp", "webhook-signature"),
        {"object_kind": "push"}, "msg-1", "Push Hook", signs_time="webhook-timestamp",
    ),
    "hmac as Slack": Sender(
        "hmac", TEXT_SECRET, slack, ("x-slack-signature", "x-slack-request-timestamp"),
        {"event_id": "Ev1", "event": {"type": "message"}}, "Ev1", "message",
        SourceOptions(
            header="X-Slack-Signature", prefix="v0=", signed="v0:{timestamp}:{body}",
            timestamp_header="X-Slack-Request-Timestamp",
            id_from="body:event_id", kind_from="body:event.type",
        ),
        signs_time="x-slack-request-timestamp",
    ),
    "hmac in base64": Sender(
        "hmac", TEXT_SECRET, hmac_base64, ("x-signature", "x-delivery"), [1, 2], "d-1", "",
        SourceOptions(
            header="X-Signature", encoding="base64", algorithm="sha512", signed="{id}.{body}",
            id_from="header:X-Delivery",
        ),
    ),
    "bearer": Sender(
        "bearer", TEXT_SECRET, bearer, ("authorization",), {"run": 12}, "12", "",
        SourceOptions(id_from="body:run"), signs_body=False,
    ),
    "bearer in a header": Sender(
        "bearer", TEXT_SECRET, lambda _: {"x-token": TEXT_SECRET, "x-id": "7"}, ("x-token",),
        {}, "7", "", SourceOptions(header="X-Token", id_from="header:X-Id"), signs_body=False,
    ),
    "s3": Sender(
        "s3", TEXT_SECRET, bearer, ("authorization",), {"Records": [RECORD]},
        "sha256-" + hashlib.sha256(
            _dump(["s3:ObjectCreated:Put", "flights", "2013%2F04.parquet", "", "17D3A1"])
            .replace(b", ", b",")
        ).hexdigest(),
        "s3:ObjectCreated:Put", signs_body=False,
    ),
    "cloudevents structured": Sender(
        "cloudevents", TEXT_SECRET,
        lambda body: bearer(body) | {"content-type": "application/cloudevents+json"},
        ("authorization",), EVENT, "/s 1", "t", signs_body=False,
    ),
    "cloudevents signed": Sender(
        "cloudevents", TEXT_SECRET,
        lambda body: {
            "x-sig": _digest(TEXT_SECRET.encode(), body).hex(),
            "content-type": "application/cloudevents+json",
        },
        ("x-sig",), EVENT, "/s 1", "t", SourceOptions(header="X-Sig"),
    ),
    "huggingface": Sender(
        "huggingface", TEXT_SECRET, lambda _: {"x-webhook-secret": TEXT_SECRET},
        ("x-webhook-secret",), {"event": {"action": "update", "scope": "repo.content"}},
        "sha256-" + hashlib.sha256(
            _dump({"event": {"action": "update", "scope": "repo.content"}})
        ).hexdigest(),
        "repo.content.update", signs_body=False,
    ),
    "mlflow": Sender(
        "mlflow", TEXT_SECRET, mlflow,
        ("x-mlflow-signature", "x-mlflow-delivery-id", "x-mlflow-timestamp"),
        {"entity": "model_version", "action": "created", "data": {}}, "8a6b",
        "model_version.created", signs_time="x-mlflow-timestamp",
    ),
    "alertmanager": Sender(
        "alertmanager", "am:pass", basic, ("authorization",), ALERTS,
        "sha256-" + hashlib.sha256(
            json.dumps(
                ["penstock", '{}:{alertname="Drift"}', "firing",
                 [["ab", "firing", "2026-01-01T00:00:00Z", ""]]],
                separators=(",", ":"),
            ).encode()
        ).hexdigest(),
        "firing", signs_body=False,
    ),
}  # fmt: skip
EACH = pytest.mark.parametrize("sender", SENDERS.values(), ids=SENDERS)
SIGNING = {name: one for name, one in SENDERS.items() if one.signs_body}
TIMING = {name: one for name, one in SENDERS.items() if one.signs_time}
names = st.sampled_from


def verify(
    sender: Sender,
    incoming: Incoming,
    keys: Sequence[str] | None = None,
    now: datetime = NOW,
    **more: Any,
) -> Sequence[Delivered]:
    spec = sender.spec(**more)
    assert fault_of(spec) is None
    found = SCHEMES[sender.scheme].verify(incoming, spec, keys or [sender.secret], now)
    for one in found:
        received("vision", "source", one)
    return found


def refusal(*args: Any, **more: Any) -> str:
    with pytest.raises(Refused) as refused:
        verify(*args, **more)
    return refused.value.fault


def fault(sender: Sender, incoming: Incoming) -> str:
    """The fault of a delivery, empty where it is taken."""
    try:
        verify(sender, incoming)
    except Refused as refused:
        return refused.fault
    return ""


def test_every_scheme_has_a_sender_here() -> None:
    assert {sender.scheme for sender in SENDERS.values()} == set(SCHEMES)


@EACH
def test_what_its_sender_sends_opens(sender: Sender) -> None:
    (told,) = verify(sender, sender.delivery())
    assert (told.id, told.kind) == (sender.id, sender.kind)
    document = sender.document
    if sender.scheme == "s3":
        document = document["Records"][0]
    assert told.data == document


@EACH
def test_each_of_several_secrets_opens_and_no_other(sender: Sender) -> None:
    others = ["whsec_b3RoZXI=", "whpk_AAAA", "other", "", "whsec_\u00e9", PUBLIC.lower()]
    assert verify(sender, sender.delivery(), [*others, sender.secret, "more"])
    assert refusal(sender, sender.delivery(), others) == "unproven"
    assert refusal(sender, sender.delivery(), [""]) == "unproven"


@EACH
def test_without_any_secret_nothing_opens(sender: Sender) -> None:
    with pytest.raises(Refused) as refused:
        SCHEMES[sender.scheme].verify(sender.delivery(), sender.spec(), [], NOW)
    assert refused.value.fault == "unproven"


@EACH
def test_a_request_without_its_proof_is_unproven(sender: Sender) -> None:
    incoming = sender.delivery()
    for header in sender.proof:
        headers = {name: value for name, value in incoming.headers.items() if name != header}
        assert refusal(sender, Incoming(headers, incoming.body)) == "unproven"
    assert refusal(sender, Incoming({}, b"")) == "unproven"


@given(st.data())
def test_a_changed_byte_of_a_signed_body_refuses(data: st.DataObject) -> None:
    sender = SIGNING[data.draw(names(sorted(SIGNING)))]
    incoming = sender.delivery()
    body = bytearray(incoming.body)
    at = data.draw(st.integers(0, len(body) - 1))
    body[at] ^= 1 << data.draw(st.integers(0, 7))
    assert refusal(sender, Incoming(incoming.headers, bytes(body))) == "unproven"


@given(st.data())
def test_a_longer_or_shorter_signed_body_refuses(data: st.DataObject) -> None:
    sender = SIGNING[data.draw(names(sorted(SIGNING)))]
    incoming = sender.delivery()
    more = data.draw(st.binary(min_size=1, max_size=20))
    less = incoming.body[: data.draw(st.integers(0, len(incoming.body) - 1))]
    for body in (incoming.body + more, more + incoming.body, less):
        assert refusal(sender, Incoming(incoming.headers, body)) == "unproven"


@given(st.data())
def test_a_changed_byte_of_a_proof_refuses(data: st.DataObject) -> None:
    sender = SENDERS[data.draw(names(sorted(SENDERS)))]
    incoming = sender.delivery()
    header = data.draw(names(sorted(sender.proof)))
    value = bytearray(incoming.headers[header], "latin-1")
    # The word before a token (`Bearer`) is read whatever its case (RFC 9110, 11.1).
    start = value.find(b" ") + 1 if header == "authorization" else 0
    at = data.draw(st.integers(start, len(value) - 1))
    value[at] ^= 1 << data.draw(st.integers(0, 7))
    headers = {**incoming.headers, header: value.decode("latin-1")}
    assert refusal(sender, Incoming(headers, incoming.body)) == "unproven"


@given(st.data(), st.text(st.characters(codec="latin-1")))
def test_no_other_text_proves(data: st.DataObject, text: str) -> None:
    sender = SENDERS[data.draw(names(sorted(SENDERS)))]
    incoming = sender.delivery()
    header = data.draw(names(sorted(sender.proof)))
    if text.strip() != incoming.headers[header]:
        headers = {**incoming.headers, header: text}
        assert refusal(sender, Incoming(headers, incoming.body)) == "unproven"


@pytest.mark.parametrize("sender", TIMING.values(), ids=TIMING)
@pytest.mark.parametrize("tolerance_seconds", [1.0, 300.0])
def test_a_signed_time_is_taken_within_the_window_and_not_past_it(
    sender: Sender, tolerance_seconds: float
) -> None:
    for sign in (-1, 1):
        edge = NOW + timedelta(seconds=sign * tolerance_seconds)
        assert verify(sender, sender.delivery(), now=edge, tolerance_seconds=tolerance_seconds)
        past = edge + timedelta(seconds=sign * 0.001)
        found = refusal(sender, sender.delivery(), now=past, tolerance_seconds=tolerance_seconds)
        assert found == "stale"


@pytest.mark.parametrize("sender", TIMING.values(), ids=TIMING)
@pytest.mark.parametrize("stamp", ["", "soon", "1e9", "-1", "1.5", "9" * 13, "9" * 400, "٣"])
def test_a_signed_time_that_is_none_is_refused(
    sender: Sender, stamp: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only the sender can sign such a time: it is told.
    monkeypatch.setitem(globals(), "STAMP", stamp)
    body = _dump(sender.document)
    if sender.send is standard or sender.scheme == "gitlab":
        signed = f"msg-1.{stamp}.".encode() + body
        key = base64.b64decode(WHSEC.removeprefix("whsec_"))
        headers = {
            "webhook-id": "msg-1",
            "webhook-timestamp": stamp,
            "webhook-signature": f"v1,{_b64(_digest(key, signed))}",
        }
    else:
        headers = sender.send(body)
    assert refusal(sender, Incoming(JSON | headers, body)) in ("headers", "stale")


@EACH
@given(st.binary(max_size=200), st.sampled_from(["application/json", "text/plain", "", "x"]))
def test_whatever_a_proven_sender_sends_is_read_or_refused(
    sender: Sender, body: bytes, kind: str
) -> None:
    try:
        headers = sender.send(body)
    except UnicodeDecodeError:  # the library as a sender signs text alone
        return
    assert fault(sender, Incoming(headers | {"content-type": kind}, body)) in AFTER_PROOF


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@EACH
@given(json_values)
def test_any_json_of_a_proven_sender_is_read_or_refused(sender: Sender, document: Any) -> None:
    body = json.dumps(document).encode()
    assert fault(sender, Incoming(JSON | sender.send(body), body)) in AFTER_PROOF


def test_one_good_signature_among_several_is_enough_and_too_many_are_not() -> None:
    sender = SENDERS["standard"]
    incoming = sender.delivery()
    good = incoming.headers["webhook-signature"]
    for words in (f"v1a,AAAA v1,AAAA {good}", " ".join([good] * SIGNATURES_MAX)):
        assert verify(sender, Incoming({**incoming.headers, "webhook-signature": words},
                                       incoming.body))  # fmt: skip
    many = " ".join([good] * (SIGNATURES_MAX + 1))
    headers = {**incoming.headers, "webhook-signature": many}
    assert refusal(sender, Incoming(headers, incoming.body)) == "unproven"


def test_a_public_key_is_no_symmetric_secret() -> None:
    sender = SENDERS["standard"]
    body = _dump({})
    for key in (PUBLIC.encode(), base64.b64decode(PUBLIC.removeprefix("whpk_"))):
        signature = _b64(_digest(key, f"msg-1.{STAMP}.".encode() + body))
        headers = standard(body) | {"webhook-signature": f"v1,{signature}"}
        assert refusal(sender, Incoming(JSON | headers, body), [PUBLIC]) == "unproven"


def test_a_signing_token_of_gitlab_is_no_secret_token() -> None:
    sender = SENDERS["gitlab signed"]
    incoming = Incoming(JSON | {"x-gitlab-token": WHSEC, "idempotency-key": "1"}, b"{}")
    assert refusal(sender, incoming, [WHSEC]) == "unproven"


def test_events_of_gitlab_that_share_an_event_uuid_are_told_apart() -> None:
    sender = SENDERS["gitlab token"]
    headers = JSON | {"x-gitlab-token": TEXT_SECRET, "x-gitlab-event-uuid": "u"}
    ids = {verify(sender, Incoming(headers, body))[0].id for body in (b"1", b"2", b"1")}
    assert len(ids) == 2


def test_records_of_a_bucket_are_told_apart_by_what_changed_when() -> None:
    sender = SENDERS["s3"]
    again = json.loads(json.dumps(RECORD)) | {"eventTime": "told again later"}
    later = json.loads(json.dumps(RECORD).replace("17D3A1", "17D3A2"))
    body = _dump({"Records": [RECORD, again, later, {"eventName": "x"}, {"eventName": "y"}]})
    told = verify(sender, Incoming(JSON | bearer(body), body))
    assert [told[0].id == one.id for one in told] == [True, True, False, False, False]
    assert len({one.id for one in told}) == 4


def test_alerts_told_again_are_the_same_and_changed_ones_are_not() -> None:
    sender = SENDERS["alertmanager"]
    firing: dict[str, Any] = json.loads(json.dumps(ALERTS))
    firing["alerts"][0]["endsAt"] = "2026-01-01T00:05:00Z"  # moves while it fires
    resolved = json.loads(json.dumps(firing).replace("firing", "resolved"))
    more = json.loads(json.dumps(ALERTS))
    more["alerts"].append({"fingerprint": "cd", "status": "firing", "startsAt": "t"})
    ids = [
        verify(sender, Incoming(JSON | basic(b""), _dump(one)))[0].id
        for one in (ALERTS, firing, resolved, more)
    ]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3


@pytest.mark.parametrize(
    ("kind", "body", "data"),
    [
        ("application/json", b'{"a": 1}', {"data": {"a": 1}}),
        ("text/plain; charset=utf-8", "é".encode(), {"data": "é"}),
        ("image/png", b"\x89PNG", {"data_base64": "iVBORw=="}),
        ("text/plain", b"\xff", {"data_base64": "/w=="}),
        ("", b"", {}),
    ],
)
def test_a_cloud_event_in_headers_is_kept_in_its_json_format(
    kind: str, body: bytes, data: dict[str, Any]
) -> None:
    sender = SENDERS["cloudevents structured"]
    headers = bearer(b"") | {
        "content-type": kind,
        "ce-specversion": "1.0",
        "ce-id": "1",
        "ce-source": "/caf%C3%A9",
        "ce-type": "t",
        "ce-tenant": "a%20b",
    }
    (told,) = verify(sender, Incoming(headers, body))
    attributes = {"specversion": "1.0", "id": "1", "source": "/café", "type": "t", "tenant": "a b"}
    declared = {"datacontenttype": kind} if kind else {}
    assert told == Delivered("/café 1", "t", attributes | declared | data)


def test_the_id_of_a_delivery_depends_on_namespace_source_and_delivery() -> None:
    ids = {webhook_id(n, s, d) for n in ("a", "b") for s in ("c", "d") for d in ("1", "2")}
    assert len(ids) == 8
    assert received("a", "c", Delivered("1", "", {})).webhook == webhook_id("a", "c", "1")


@pytest.mark.parametrize("id", ["", "x" * 257, "a\x00b", "a\nb"])
def test_an_id_that_is_none_is_refused(id: str) -> None:
    with pytest.raises(Refused):
        received("a", "c", Delivered(id, "", {}))


def test_a_body_may_be_nested_and_not_too_deep() -> None:
    sender = SENDERS["bearer"]
    for depth, faults in ((DEPTH_MAX - 2, None), (DEPTH_MAX + 2, "body"), (5000, "body")):
        body = b'{"run": 1, "deep": ' + b"[" * depth + b"]" * depth + b"}"
        incoming = Incoming(JSON | bearer(body), body)
        if faults is None:
            assert verify(sender, incoming)
        else:
            assert refusal(sender, incoming) == faults
