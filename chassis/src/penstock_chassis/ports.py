"""The ports of the chassis: everything that a service may ask of the world.

Two implementations of each obey one contract suite (`penstock_chassis.testing.contracts`): the
real one (NATS JetStream, S3) and the simulated one (`penstock_chassis.testing.simbus`), which
runs under virtual time and can fail at every call. Services receive them as one `Ports` value
and never import an adapter.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from penstock_schemas import ObjectRef

BATCH_MESSAGES_MAX = 1000
"""The most messages that one atomic append may hold (a limit of the server)."""
SECRET_VALUES_MAX = 4
"""The most values that a secret may have at a time, while it rotates."""


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message as it stands in a stream, undecoded."""

    subject: str
    payload: bytes
    headers: Mapping[str, str]
    sequence: int
    """Position in the stream, from 1."""
    time: datetime
    """When the server stored it, UTC."""


@dataclass(frozen=True, slots=True)
class Guard:
    """Append only where the last message matching `filter` has this sequence (0: none is there).

    `filter` may hold the wildcard `*` in the place of a token.
    """

    filter: str
    sequence: int


@dataclass(frozen=True, slots=True)
class Message:
    """A message to append. `id` makes it idempotent: see `EventLog.append`."""

    subject: str
    payload: bytes
    headers: Mapping[str, str]
    id: str
    guard: Guard | None = None


@dataclass(frozen=True, slots=True)
class Appended:
    """Where an append stands: the sequence of its last message, and whether it was there before."""

    sequence: int
    duplicate: bool = False


class EventLog(Protocol):
    """The one durable stream of events (stream `EVENTS`, subjects `penstock.>`)."""

    async def append(self, messages: Sequence[Message]) -> Appended:
        """Append all messages in order and contiguously, or none; durable on return.

        More than one message is one atomic batch (at most `BATCH_MESSAGES_MAX`). Every guard is
        checked against the log as it stands before the append.

        Raises `Conflict` where a guard does not hold, unless what stands there since the guarded
        sequence holds this very message (same id): that is success, `duplicate=True`. So is a
        message without a guard whose id was seen within the duplicate window.
        Raises `Unavailable` where no answer came in time: append again with the same ids.
        Raises `TooLarge` for a payload above the server's limit.
        """
        ...

    async def read(self, filter: str, *, after: int = 0, limit: int = 0) -> list[StoredMessage]:
        """The stored messages matching `filter` with a sequence above `after`, in order.

        `limit` bounds their number (0: no bound). Raises `Unavailable`.
        """
        ...

    async def get(self, sequence: int) -> StoredMessage:
        """The message at a sequence; raises `NotFound` or `Unavailable`."""
        ...

    async def head(self, filters: Sequence[str]) -> int:
        """The sequence of the last message matching any filter, 0 where none does."""
        ...

    def follow(
        self, filters: Sequence[str], *, after: int = 0, since: datetime | None = None
    ) -> AsyncIterator[StoredMessage]:
        """All messages matching any filter above `after` (or stored at or after `since`), then
        every new one, in order, without gap or duplicate, for ever; survives server restarts."""
        ...


class Delivery(Protocol):
    """One delivery of a message to a durable consumer. Exactly one of `ack`, `nak` and `term`
    ends it; without any of them it is delivered again when its lease runs out. Each raises
    `Unavailable` where it could not be said; the message then comes again."""

    @property
    def message(self) -> StoredMessage:
        """The message."""
        ...

    @property
    def deliveries(self) -> int:
        """How many times it was delivered to this consumer, this time included (from 1)."""
        ...

    async def ack(self) -> None:
        """Handled. May be lost: the message then comes again."""
        ...

    async def nak(self, delay_seconds: float) -> None:
        """Deliver again, after `delay_seconds` (> 0)."""
        ...

    async def term(self) -> None:
        """Never deliver again to this consumer."""
        ...

    async def in_progress(self) -> None:
        """Start the lease anew."""
        ...


class Subscription(Protocol):
    """An open pull on a durable consumer."""

    async def next(self, count: int) -> list[Delivery]:
        """Wait for deliveries; between 1 and `count` of them, or none once it is closed."""
        ...

    async def close(self) -> None:
        """Stop pulling. The durable consumer and its position stay."""
        ...


@dataclass(frozen=True, slots=True)
class ConsumerSpec:
    """A durable consumer on the event log.

    It starts at the beginning of the log when first made. `lease_seconds` is the time after
    which an unacknowledged delivery comes again.
    """

    name: str
    filters: tuple[str, ...]
    lease_seconds: float = 30.0
    in_flight_max: int = 256
    """How many deliveries may be unacknowledged at a time."""


class Consumers(Protocol):
    """Durable consumers of the event log."""

    async def open(self, spec: ConsumerSpec) -> Subscription:
        """Make the consumer, or bring an existing one to `spec`, keeping its position; pull.

        Where the consumer is deleted while the subscription is open, it is made again: from
        where everything before is known to be acknowledged, so that no message is left out.
        """
        ...

    async def verify(self) -> None:
        """Raise `NotFound` naming a consumer that is open here and not there (readiness)."""
        ...

    async def pending(self, name: str) -> int:
        """How many messages the consumer has not acknowledged; raises `NotFound`."""
        ...

    async def attended(self, name: str) -> bool:
        """Whether somebody waits for its messages, or holds some; raises `NotFound`.

        Who died while holding some counts until their lease is over.
        """
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """A value of a key-value bucket with its revision (grows with every write to the bucket)."""

    key: str
    value: bytes
    revision: int


class KeyValue(Protocol):
    """A bucket with compare-and-set. Keys expire `ttl_seconds` (of the bucket) after their last
    write where the bucket was made with one. Keys are names joined by dots."""

    async def get(self, key: str) -> Entry | None:
        """The live entry, or None."""
        ...

    async def create(self, key: str, value: bytes) -> int:
        """Write only where no live entry is; its revision. Raises `Conflict`."""
        ...

    async def update(self, key: str, value: bytes, revision: int) -> int:
        """Write only over that revision; the new one. Raises `Conflict`."""
        ...

    async def put(self, key: str, value: bytes) -> int:
        """Write in any case; the new revision."""
        ...

    async def delete(self, key: str, revision: int) -> None:
        """Remove only that revision. Raises `Conflict`."""
        ...

    async def keys(self) -> list[str]:
        """The live keys, sorted."""
        ...


class KeyValues(Protocol):
    """The buckets."""

    async def bucket(self, name: str, *, ttl_seconds: float = 0.0) -> KeyValue:
        """The bucket, made where it is not there (`ttl_seconds` 0: keys never expire)."""
        ...


@dataclass(frozen=True, slots=True)
class SecretChange:
    """What was last done to a secret, as the audit log is to say it; never a value."""

    namespace: str
    name: str
    id: str
    """Of the change: the event that tells it is appended under this id."""
    fingerprint: str
    """Of the newest value: keyed with the sealing key, so that nobody can test guesses."""
    values: int
    """How many values open from now on; 0: the secret was deleted."""
    by: str


class Secrets(Protocol):
    """Sealed values by namespace and name, shared by all replicas of a service.

    Every change is kept beside the value until it was told: the caller appends the event of it
    and then says `told`, so that no change goes without its event, wherever a process dies.
    """

    async def get(self, namespace: str, name: str) -> tuple[str, ...]:
        """The values that open, the newest first; empty where there is none.

        Raises `Unavailable`, also where no sealing key is configured, and `Sealed` where the value
        was sealed under a key that is not here.
        """
        ...

    async def set(
        self, namespace: str, name: str, value: str, *, id: str, by: str, keep: bool = False
    ) -> SecretChange:
        """Set a value; with `keep` the former ones open too (at most `SECRET_VALUES_MAX` in all).

        The same `id` again changes nothing. Raises `Conflict` where an earlier change was not told
        yet, and where somebody else was faster; else as `get`.
        """
        ...

    async def delete(self, namespace: str, name: str, *, id: str, by: str) -> SecretChange:
        """Remove it with all its values; raises `NotFound`, else as `set`."""
        ...

    async def untold(self, namespace: str = "", name: str = "") -> list[SecretChange]:
        """Changes of the secret (of any, without a name) that `told` was not said of."""
        ...

    async def told(self, change: SecretChange) -> None:
        """The event of the change is durable in the log."""
        ...


class ObjectStore(Protocol):
    """Content-addressed bytes. What `put*` returned is durable: it may be announced.

    Keys are `<namespace>/<algorithm>/<2 hex>/<hex>`: equal bytes are stored once a namespace.
    """

    async def put(self, namespace: str, data: bytes) -> ObjectRef:
        """Store bytes."""
        ...

    async def put_file(self, namespace: str, path: Path) -> ObjectRef:
        """Store a file, streamed."""
        ...

    async def put_folder(self, namespace: str, path: Path) -> ObjectRef:
        """Store every regular file below a folder and their manifest; the manifest's reference
        (kind `folder`). Links and special files raise `ValueError` naming them."""
        ...

    async def get(self, ref: ObjectRef, size_bytes_max: int = 64 * 2**20) -> bytes:
        """The bytes of one object, verified. Raises `NotFound`, `DigestMismatch`, `TooLarge`."""
        ...

    async def fetch(self, ref: ObjectRef, target: Path) -> None:
        """Write a file object to the path `target`, or a folder object's files below it,
        verified; nothing is left at `target` on failure. Raises `NotFound`, `DigestMismatch`."""
        ...

    async def read_uri(self, namespace: str, uri: str, target: Path) -> None:
        """Copy an object of another bucket that the platform's credentials can read, or one of
        this namespace, to `target`, unverified (its digest is not known yet). Raises `NotFound`,
        and `ValueError` for an object of another namespace."""
        ...


class Telemetry(Protocol):
    """The stream of what is many and small: metrics and logs (stream `TELEMETRY`, bounded age).

    Subjects are `telemetry.<namespace>.<noun>.<kind>.<id>`.
    """

    async def publish(self, subject: str, payload: bytes, id: str) -> None:
        """Store once per `id` within the duplicate window. Raises `Unavailable`."""
        ...

    async def read(self, filter: str, *, after: int = 0, limit: int = 0) -> list[StoredMessage]:
        """What is stored, in order."""
        ...

    def follow(self, filter: str, *, after: int = 0) -> AsyncIterator[StoredMessage]:
        """What is stored above `after`, then every new one."""
        ...


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that a service gave up on, with everything needed to try it again."""

    service: str
    subject: str
    sequence: int
    """Of the message in the event log."""
    reason: str
    deliveries: int
    traceback: str = ""
    payload: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    position: int = 0
    """Of the dead letter in its own stream; set when read."""
    time: datetime | None = None


class DeadLetters(Protocol):
    """The stream of dead letters."""

    async def put(self, letter: DeadLetter) -> None:
        """Store once per service and sequence, however late the second comes; durable on return.

        One that was dropped can be put again. Raises `Unavailable`.
        """
        ...

    async def list(self) -> list[DeadLetter]:
        """All that are there, oldest first."""
        ...

    async def drop(self, position: int) -> None:
        """Remove one; raises `NotFound`."""
        ...


class Clock(Protocol):
    """Time. Sleeping is `asyncio.sleep`: under simulation the event loop's time is virtual."""

    def now(self) -> datetime:
        """The present, UTC."""
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    """All that a service gets from the world."""

    log: EventLog
    consumers: Consumers
    kv: KeyValues
    objects: ObjectStore
    telemetry: Telemetry
    dead_letters: DeadLetters
    clock: Clock
