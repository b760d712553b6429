"""Our reading and writing of headers against nats-py's own, byte for byte."""

from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from nats.aio.client import Client
from nats.errors import BadHeaderError

from penstock_chassis.adapters.nats import headers as subject
from penstock_chassis.adapters.nats.client import LeanClient

BLANKS = st.text(" \t\x0b\x0c\x1c\x1f\x85\xa0\r\n", max_size=3)
WORDS = st.text(st.characters(max_codepoint=0x17F), max_size=8)
NAMES = st.sampled_from(["ce-id", "Ce-Id", "Nats-Msg-Id", "traceparent", "a:b", "ü"]) | WORDS
LINES = st.builds(
    "{}{}{}{}{}{}{}".format, BLANKS, NAMES, BLANKS, st.just(":"), BLANKS, WORDS, BLANKS
)
STATUS = st.sampled_from(["", " 100 Idle Heartbeat", " 503", " 404 No Messages", " x", "\t9", " "])
TEXT_BLOCKS = st.builds(
    lambda status, lines, end: ("NATS/1.0" + "\r\n".join([status, *lines]) + end).encode(),
    STATUS,
    st.lists(LINES | WORDS, max_size=6),
    st.sampled_from(["\r\n\r\n", "\r\n", "", "\n"]),
)
BLOCKS = TEXT_BLOCKS | st.binary(max_size=60).map(lambda rest: b"NATS/1.0" + rest)


def finished(call: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine returns that never waits, or the type of what it raises."""
    try:
        call.send(None)
    except StopIteration as stop:
        return stop.value
    except Exception as error:  # noqa: BLE001 - whatever one raises, the other must raise
        return type(error)
    raise AssertionError("it waits")


async def ignore(error: Exception) -> None:
    """Stand in for the error callback that a connection sets."""


def read(client: Client, block: bytes) -> Any:
    client._error_cb = ignore
    return finished(client._process_headers(block))


@given(BLOCKS)
@example(b"NATS/1.0\r\n\r\n")
@example(b"NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 7\r\nNats-Last-Stream: 9\r\n\r\n")
@example(b"NATS/1.0\r\nce-id: a\r\nce-id: b\r\nCe-Id: c\r\nbad name: d\r\n: e\r\nnone\r\n\r\n")
@example("NATS/1.0\r\nce-id: grün\r\nplain: x\r\n\r\n".encode())
@example(b"NATS/1.0\r\n\x1cname\x1f: x\r\nvalue: \x1c x \x1f\r\n\r\n")
def test_a_block_reads_as_nats_py_reads_it(block: bytes) -> None:
    assert read(LeanClient(), block) == read(Client(), block)


def sent(client: Client, headers: dict[str, str]) -> Any:
    """The bytes that a publish would send, or the type of what it raises."""
    commands: list[bytes] = []

    async def keep(cmd: bytes, priority: bool = False) -> None:
        commands.append(cmd)

    vars(client)["_send_command"] = keep
    refused = finished(client._send_publish("a.b", "_INBOX.1", b"{}", 2, headers))
    return commands, refused, client.stats["out_msgs"], client.stats["out_bytes"]


@given(st.dictionaries(st.builds("{}{}{}".format, BLANKS, NAMES, BLANKS), BLANKS | WORDS))
@example({"ce-id": " two\r\nlines\n", "ce-source": "grün", "": "left out", "  ": "too"})
@example({"ce-id": "1", "bad name": "2"})
@example({})
def test_headers_are_written_as_nats_py_writes_them(headers: dict[str, str]) -> None:
    assert sent(LeanClient(), headers) == sent(Client(), headers)


def test_a_publish_without_headers_is_sent_as_nats_py_sends_it() -> None:
    assert sent(LeanClient(), None) == sent(Client(), None)  # type: ignore[arg-type]


def test_a_name_that_cannot_be_one_is_refused_each_time() -> None:
    for _ in range(2):
        with pytest.raises(BadHeaderError):
            subject.write_headers({"two words": "x"})


def test_no_sender_can_make_the_names_remembered_grow_without_bound() -> None:
    for number in range(subject.NAMES_MAX + 100):
        subject.read_headers(f"NATS/1.0\r\nname-{number}: x\r\n\r\n".encode())
        subject.write_headers({f"name-{number}": "x"})
    long = "x" * (subject.NAME_LENGTH_MAX + 1)
    assert subject.read_headers(f"NATS/1.0\r\n{long}: y\r\n\r\n".encode()) == {long: "y"}
    assert len(subject._names_read) == len(subject._names_written) == subject.NAMES_MAX
    assert long not in subject._names_read
