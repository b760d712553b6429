"""Subjects and names: one form, and nothing that could address another's events."""

from uuid import UUID, uuid5

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from penstock_schemas import (
    Aggregate,
    InvalidSubject,
    Subject,
    derived_id,
    filter_of,
    is_name,
    new_id,
    parse_subject,
)
from penstock_schemas.names import NAME_LENGTH_MAX, NAME_PATTERN

NAMES = st.from_regex(NAME_PATTERN, fullmatch=True).filter(
    lambda name: len(name) <= NAME_LENGTH_MAX and "\n" not in name
)
EVIL = [
    *("", " ", "a b", "a\tb", "a\n", "\n", "a\r", "a\0", "\x1b[31m", "*", ">", "a*", "$JS", "a/b"),
    *("UPPER", "Job", "-a", "a-", "a_b", "é", "ａ", "٣", "a" * 64, "a" * 100_000, "a\u200b", "%2e"),
]


@given(NAMES, NAMES, NAMES, NAMES)
def test_a_subject_survives_its_text(namespace: str, noun: str, verb: str, id: str) -> None:
    subject = Subject(namespace, noun, verb, id)
    assert parse_subject(str(subject)) == subject
    assert subject.type == f"{noun}.{verb}"
    assert subject.aggregate == Aggregate(namespace, noun, id)


@pytest.mark.parametrize("evil", EVIL, ids=[ascii(token)[:20] for token in EVIL])
@pytest.mark.parametrize("place", [1, 2, 3, 4])
def test_a_token_that_is_not_a_name_is_refused_and_named(evil: str, place: int) -> None:
    tokens = ["penstock", "vision", "job", "requested", "job-1"]
    tokens[place] = evil
    role = ("namespace", "noun", "verb", "id")[place - 1]
    assert not is_name(evil)
    with pytest.raises(InvalidSubject, match=f"the {role} ") as info:
        parse_subject(".".join(tokens))
    assert len(str(info.value)) < 500


@pytest.mark.parametrize(
    "text",
    [
        *("", "penstock", "penstock.vision.job.requested", "penstock.vision.job.requested.a.b"),
        *("other.vision.job.requested.a", "PENSTOCK.vision.job.requested.a", "." * 10_000),
        "penstock.vision.job.requested.a.",
    ],
)
def test_a_subject_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(InvalidSubject, match="expected 5 tokens") as info:
        parse_subject(text)
    assert len(str(info.value)) < 500


@given(st.text(max_size=80))
def test_any_text_is_a_subject_in_canonical_form_or_refused(text: str) -> None:
    try:
        subject = parse_subject(text)
    except InvalidSubject:
        return
    assert str(subject) == text


@given(NAMES, NAMES, NAMES, NAMES)
def test_an_aggregates_filter_matches_its_own_events_alone(
    a: str, b: str, id: str, other: str
) -> None:
    assume(id != other)
    aggregate = Aggregate(a, b, id)
    assert matches(aggregate.filter, str(Subject(a, b, "requested", id)))
    assert not matches(aggregate.filter, str(Subject(a, b, "requested", other)))


@pytest.mark.parametrize(
    ("filter", "text"),
    [
        (filter_of(), "penstock.*.*.*.>"),
        (filter_of(type="model.promoted"), "penstock.*.model.promoted.>"),
        (filter_of("vision", id="job-1"), "penstock.vision.*.*.job-1"),
        (filter_of("vision", "job.*"), "penstock.vision.job.*.>"),
    ],
)
def test_a_filter_is_written_as_nats_reads_it(filter: str, text: str) -> None:
    assert filter == text
    assert matches(filter, "penstock.vision.job.requested.job-1") is ("model" not in text)


def matches(filter: str, subject: str) -> bool:
    """NATS's own rule: `*` is one token, a final `>` one or more."""
    wanted, tokens = filter.split("."), subject.split(".")
    if wanted[-1] == ">":
        wanted, tokens = wanted[:-1], tokens[: len(wanted) - 1]
    return len(wanted) == len(tokens) and all(
        want in ("*", token) for want, token in zip(wanted, tokens, strict=True)
    )


def test_fresh_ids_are_names_that_sort_by_time() -> None:
    ids = [new_id(now_ms=ms) for ms in (0, 1, 1_700_000_000_000, 2**48 - 1)]
    assert ids == sorted(ids)
    assert all(is_name(id) and id[14] == "7" and id[19] in "89ab" for id in ids)
    assert new_id(5, bytes(10)) == "00000000-0005-7000-8000-000000000000"
    assert new_id() != new_id()


@given(st.text(), st.text(), st.integers(0))
def test_a_derived_id_is_the_uuid5_of_its_parts(cause: str, purpose: str, number: int) -> None:
    namespace = UUID("6f1a4f0e-6a5b-5c0b-9b39-7f1d4ad0c2a5")
    name = f"{cause}\n{purpose}\n{number}"
    assert derived_id(cause, purpose, number) == str(uuid5(namespace, name))


def test_a_derived_id_is_the_same_again_and_differs_by_each_part() -> None:
    made = {derived_id(c, p, n) for c in ("a", "b") for p in ("job", "gate") for n in (0, 1)}
    assert len(made) == 8
    assert derived_id("a", "job", 1) in made
    assert all(is_name(id) for id in made)
