"""How things are said: every event of the catalogue, times, amounts, ids."""

from datetime import UTC, datetime, timedelta

import pytest

from penstock.cli import wording
from penstock.client.endings import WAITABLE, ending_types
from penstock.client.matching import type_matches
from penstock.client.records import read_event
from penstock.client.sse import Decoder, Message
from penstock_schemas import event_types

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize("type", sorted(event_types()))
def test_every_event_of_the_catalogue_has_a_colour_and_words(type: str) -> None:
    cls = event_types()[type]
    raw = {"sequence": 1, "time": NOW.isoformat(), "id": "e", "type": type}
    event = read_event({**raw, "version": cls.version, "data": cls.example})
    assert wording.what(event) != ""
    assert wording.kind_of(event.verb) != "plain"
    assert wording.what(read_event({**raw, "data": {}})) == "", "another version says less"


def test_the_words_are_those_of_the_right_event() -> None:
    assert set(wording._WHAT) <= set(event_types())
    assert {type for noun in WAITABLE for type in ending_types(noun)} <= set(event_types())


def test_a_uuid_is_said_by_its_last_eight_digits_and_a_name_whole() -> None:
    assert wording.short_id("0190c2a4-7b1e-7c30-8f00-00000000a001") == "0000a001"
    assert wording.short_id("flight-lateness-2") == "flight-lateness-2"


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("1h30m", 5400), ("250ms", 0.25), ("2d", 172_800)]
)
def test_durations(text: str, seconds: float) -> None:
    assert wording.seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "m5", "1h 30m", "yesterday"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="write 90s"):
        wording.seconds_of(text)


def test_a_moment_is_a_time_or_a_while_ago() -> None:
    assert wording.moment_of("10m", NOW) == "2026-11-24T11:50:00+00:00"
    said = datetime.fromisoformat(wording.moment_of("2026-11-24T10:00:00Z", NOW))
    assert said == datetime(2026, 11, 24, 10, tzinfo=UTC)
    with pytest.raises(ValueError, match="10m for ten minutes ago"):
        wording.moment_of("soon", NOW)


def test_ages_and_sizes_are_said_in_their_largest_unit() -> None:
    seconds = (5, 240, 10_800, 172_800)
    ages = [wording.ago(NOW - timedelta(seconds=one), NOW) for one in seconds]
    assert ages == ["5s", "4m", "3h", "2d"]
    sizes = [wording.size(amount) for amount in (12, 2048, 12_897_485, 3 * 2**40)]
    assert sizes == ["12 B", "2 KiB", "12.3 MiB", "3 TiB"]


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [("job.placed", True), ("job.*", True), ("*.placed", True), ("job", True), ("jo", False)],
)
def test_a_pattern_fits_whole_tokens(pattern: str, fits: bool) -> None:
    assert type_matches("job.placed", [pattern]) is fits


def test_a_stream_is_the_same_however_its_bytes_are_cut() -> None:
    text = ': alive\n\nid: 7\ndata: {"a":"\u2028é"}\n\nid: 8\r\ndata: x\r\ndata: y\r\n\r\n'
    expected = [Message(""), Message('{"a":"\u2028é"}', "7"), Message("x\ny", "8")]
    data = text.encode()
    for size in range(1, len(data) + 1):
        decoder = Decoder()
        found = [
            message
            for start in range(0, len(data), size)
            for message in decoder.feed(data[start : start + size])
        ]
        assert found == expected
