"""A job's output is text again, whatever happened to its pieces on the way."""

import json

from penstock_gateway.domain.joblog import log_text


def piece(text: str, offset: int, attempt: int = 1, rank: int = 0) -> bytes:
    return json.dumps({"attempt": attempt, "rank": rank, "offset": offset, "text": text}).encode()


def test_pieces_are_joined_without_a_seam() -> None:
    assert log_text([piece("step", 0), piece(" 1\nste", 4), piece("p 2", 10)]) == "step 1\nstep 2\n"


def test_a_piece_that_came_twice_is_shown_once() -> None:
    assert log_text([piece("one\n", 0), piece("one\n", 0), piece("two\n", 4)]) == "one\ntwo\n"


def test_pieces_that_overlap_are_shown_once() -> None:
    assert log_text([piece("one\ntwo\n", 0), piece("one\ntwo\nthree\n", 0)]) == "one\ntwo\nthree\n"
    assert log_text([piece("one\n", 0), piece("ne\ntwo\n", 1)]) == "one\ntwo\n"


def test_what_was_left_out_is_said() -> None:
    assert log_text([piece("one\n", 0), piece("end\n", 1004)]) == (
        "one\n\n[1000 bytes left out]\nend\n"
    )


def test_attempts_and_ranks_are_named_where_there_are_several() -> None:
    pieces = [piece("a\n", 0), piece("b\n", 0, rank=1), piece("c\n", 0, attempt=2)]
    assert log_text(pieces) == (
        "--- attempt 1, rank 0 ---\na\n--- attempt 1, rank 1 ---\nb\n--- attempt 2, rank 0 ---\nc\n"
    )


def test_what_is_no_piece_is_shown_as_it_is() -> None:
    assert log_text([b"plain \xff text", b"[1]"]) == "plain \ufffd text\n[1]\n"
    assert log_text([]) == ""
