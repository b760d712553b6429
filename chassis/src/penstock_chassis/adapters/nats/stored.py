"""From a NATS message to `StoredMessage`, whichever way it came."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from nats.aio.msg import Msg

from penstock_chassis.ports import StoredMessage

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ACK_TOKENS = 9
ACK_TOKENS_V2_MIN = 11
DIRECT_GET_HEADERS = frozenset(
    {
        "Nats-Stream",
        "Nats-Subject",
        "Nats-Sequence",
        "Nats-Time-Stamp",
        "Nats-Num-Pending",
        "Nats-Last-Sequence",
    }
)
"""What a direct get adds to the headers that were published."""


class AckInfo(NamedTuple):
    """What the reply subject of a delivery says."""

    deliveries: int
    sequence: int
    consumer_sequence: int
    time_ns: int
    pending: int


def parse_ack(reply: str) -> AckInfo:
    """`$JS.ACK.<stream>.<consumer>.<deliveries>.<sequence>.<consumer sequence>.<ns>.<pending>`,
    or the newer form with a domain and an account hash before the stream."""
    tokens = reply.split(".")
    start = 4 if len(tokens) == ACK_TOKENS else 6
    if len(tokens) != ACK_TOKENS and len(tokens) < ACK_TOKENS_V2_MIN:
        raise ValueError(f"not the reply subject of a JetStream delivery: {reply!r}")
    return AckInfo(*map(int, tokens[start : start + 5]))


def utc(time_ns: int) -> datetime:
    """Unix nanoseconds as a time with microseconds, as exact as `datetime` can be."""
    return _EPOCH + timedelta(microseconds=time_ns // 1000)


def from_delivery(message: Msg, info: AckInfo) -> StoredMessage:
    """A message that a consumer delivered."""
    return StoredMessage(
        message.subject, message.data, message.headers or {}, info.sequence, utc(info.time_ns)
    )


def from_direct_get(message: Msg) -> StoredMessage:
    """A message that a direct get returned: its place is in its headers."""
    headers = dict(message.headers or {})
    stamp = headers["Nats-Time-Stamp"]
    whole, _, fraction = stamp.rstrip("Z").partition(".")
    time = datetime.fromisoformat(whole).replace(tzinfo=UTC)
    return StoredMessage(
        headers["Nats-Subject"],
        message.data,
        {name: value for name, value in headers.items() if name not in DIRECT_GET_HEADERS},
        int(headers["Nats-Sequence"]),
        time.replace(microsecond=int(fraction.ljust(9, "0")[:6]) if fraction else 0),
    )
