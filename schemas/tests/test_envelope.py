"""The envelope: what is said in headers is what is read, and contradictions are refused."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from penstock_schemas import Envelope, InvalidEnvelope, Subject, read_envelope
from penstock_schemas.envelope import ENVELOPE_FIELD_LENGTH_MAX

SUBJECT = Subject("vision", "job", "requested", "job-1")
NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=85)
TIMES = st.datetimes(
    datetime(1970, 1, 1),
    datetime(2200, 1, 1),
    timezones=st.sampled_from([UTC, timezone(-timedelta(hours=7))]),
)


ENVELOPES = st.builds(
    Envelope,
    id=ANY_TEXT,
    source=ANY_TEXT,
    type=st.just("job.requested"),
    version=st.integers(1, 999_999),
    subject=st.just("job-1"),
    time=TIMES,
    correlation_id=ANY_TEXT,
    causation_id=st.none() | ANY_TEXT,
    traceparent=st.none() | st.just("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
)
ODD = ' %25"\r\n\0é😀\x7f'


@given(ENVELOPES)
@example(Envelope(ODD, "%", "job.requested", 1, "job-1", NOW, " ", ODD))
def test_an_envelope_survives_its_headers(said: Envelope) -> None:
    headers = said.headers()
    assert all("!" <= char <= "~" for value in headers.values() for char in value)
    assert read_envelope(headers, SUBJECT, 7, NOW) == said


@given(st.text(max_size=ENVELOPE_FIELD_LENGTH_MAX))
@example(" " * 1000)
@example("é" * 500)
@example("%ff" * 300)
@example("\udcff")
def test_an_id_that_is_accepted_can_be_named_as_a_cause_in_our_own_headers(foreign: str) -> None:
    try:
        read = read_envelope({"ce-id": foreign}, SUBJECT, 7, NOW)
    except InvalidEnvelope:
        return
    ours = Envelope("x", "tuner", "job.requested", 1, "job-1", NOW, read.id, read.id).headers()
    assert read_envelope(ours, SUBJECT, 8, NOW).causation_id == read.id


@pytest.mark.parametrize("headers", [None, {}, {"Nats-Msg-Id": "x"}])
def test_a_message_without_an_envelope_gets_one_that_is_the_same_each_time(
    headers: dict[str, str] | None,
) -> None:
    read = read_envelope(headers, SUBJECT, 7, NOW)
    assert read == read_envelope(headers, SUBJECT, 7, NOW)
    assert read.id != read_envelope(headers, SUBJECT, 8, NOW).id
    assert (read.type, read.version, read.subject) == ("job.requested", 1, "job-1")
    assert (read.source, read.time) == ("unknown", NOW)
    assert (read.correlation_id, read.causation_id) == (read.id, None)


def test_header_names_are_read_in_any_case() -> None:
    assert read_envelope({"Ce-Id": "a", "CE-SOURCE": "b"}, SUBJECT, 7, NOW).id == "a"


@pytest.mark.parametrize(
    ("headers", "problem"),
    [
        ({"ce-type": "job.placed"}, "ce-type says 'job.placed' but the NATS subject says 'job.req"),
        ({"ce-type": ""}, "ce-type says ''"),
        ({"ce-type": "x" * 1000}, "ce-type says"),
        ({"ce-subject": "job-2"}, "ce-subject says 'job-2' but the NATS subject says 'job-1'"),
        ({"ce-specversion": "0.3"}, "ce-specversion is not 1.0"),
        ({"ce-time": "yesterday"}, "ce-time 'yesterday' is not an RFC 3339 time"),
        ({"ce-time": "2026-13-01T00:00:00Z"}, "ce-time"),
        ({"ce-time": "0001-01-01T00:00:00+14:00"}, "ce-time"),
        ({"ce-time": "9999-12-31T23:59:59-14:00"}, "ce-time"),
        ({"ce-dataschema": "https://example.com/job.json"}, "ce-dataschema"),
        ({"ce-dataschema": "urn:penstock:schema:job.placed:1"}, "ce-dataschema"),
        ({"ce-dataschema": "urn:penstock:schema:job.requested:one"}, "ce-dataschema"),
        ({"ce-dataschema": "urn:penstock:schema:job.requested:1%0A"}, "ce-dataschema"),
        ({"ce-dataschema": "urn:penstock:schema:job.requested:1234567"}, "ce-dataschema"),
        ({"ce-id": "x" * 1025}, "ce-id is longer than 1024"),
        ({"ce-id": "\udcff"}, "ce-id is not UTF-8"),
        ({"ce-source": "é" * 200}, "ce-source is longer than 1024 when percent-encoded"),
        ({"content-type": "application/cloudevents+json"}, "structured mode"),
    ],
)
def test_a_header_that_contradicts_or_cannot_be_read_is_refused(
    headers: dict[str, str], problem: str
) -> None:
    with pytest.raises(InvalidEnvelope) as info:
        read_envelope(headers, SUBJECT, 7, NOW)
    assert problem in str(info.value)
    assert len(str(info.value)) < 400


def test_a_time_is_read_in_utc_whatever_its_zone() -> None:
    read = read_envelope({"ce-time": "2026-11-24T12:00:00%2B02:00"}, SUBJECT, 7, NOW)
    assert (read.time, read.time.tzinfo) == (NOW, UTC)


@pytest.mark.parametrize(
    "parent", ["", "junk", "00-0af7-b7ad-01", "00-" + "0" * 32 + "-" + "0" * 16 + "-01\n"]
)
def test_a_trace_that_cannot_be_continued_is_left_out(parent: str) -> None:
    assert read_envelope({"traceparent": parent}, SUBJECT, 7, NOW).traceparent is None
