"""nats-py's client, lean where every message passes.

Three of its ways are replaced, each by the same result in less time (docs/adr/0002 has the
figures); everything else, connecting and reconnecting above all, stays the library's own:

    headers   read and written by `headers.py`
    listen    hands a message to a plain function as it is parsed: no queue, no task between
    request   one inbox for all answers, numbered; no random token and no task for the deadline

It leans on internals of the client (`_process_headers`, `_process_msg`, `_send_publish`), so the
minor version of nats-py is pinned, and a test holds each to the library's own behaviour.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import (
    BadSubjectError,
    ConnectionDrainingError,
    NoRespondersError,
    TimeoutError,
)

from penstock_chassis.adapters.nats.headers import is_plain, read_headers, write_headers

Sink = Callable[[Msg], None]

NO_RESPONDERS = "503"
PENDING_MESSAGES_MAX = 1_000_000
PENDING_BYTES_MAX = 512 * 2**20
"""Where the library's queue stands between; flow control and pulls by number bound both ways."""
REQUEST_SECONDS = 0.5
"""The deadline of a request that names none, as in nats-py."""


class LeanClient(Client):
    """A connection to NATS."""

    def __init__(self) -> None:
        super().__init__()
        self._sinks: dict[int, Sink] = {}
        self._answers: dict[str, asyncio.Future[Msg]] = {}
        self._answer_prefix = ""
        self._asked = 0

    async def listen(self, subject: str, sink: Sink) -> Subscription:
        """Hand each message on `subject` to `sink`, in order, until unsubscribed.

        There is no limit on what is pending: the sink takes it. What it raises goes to the
        connection's error callback.
        """
        number = self._sid + 1  # the next one; nothing is awaited before the library takes it
        self._sinks[number] = sink
        subscription = await self.subscribe(subject, cb=_never_called)
        assert subscription._id == number, "the sink listens to another subscription"
        return subscription

    async def request(
        self,
        subject: str,
        payload: bytes = b"",
        timeout: float = REQUEST_SECONDS,
        old_style: bool = False,
        headers: dict[str, Any] | None = None,
    ) -> Msg:
        """Ask and wait for one answer; raises `TimeoutError` or `NoRespondersError`."""
        if old_style:
            return await super().request(subject, payload, timeout, old_style, headers)
        if self.is_draining_pubs:
            raise ConnectionDrainingError
        if not self._answer_prefix:
            await self._listen_for_answers()
        self._asked += 1
        inbox = f"{self._answer_prefix}{self._asked}"
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Msg] = loop.create_future()
        self._answers[inbox] = answer
        deadline = None
        try:
            await self.publish(subject, payload, inbox, headers)
            deadline = loop.call_later(timeout, _give_up, answer)
            message = await answer
        finally:
            del self._answers[inbox]
            if deadline is not None:
                deadline.cancel()
        if message.headers and message.headers.get("Status") == NO_RESPONDERS:
            raise NoRespondersError
        return message

    async def _listen_for_answers(self) -> None:
        self._answer_prefix = f"{self.new_inbox()}."  # first: a second request finds it
        try:
            await self.listen(f"{self._answer_prefix}*", self._answered)
        except BaseException:
            self._answer_prefix = ""
            raise

    def _answered(self, message: Msg) -> None:
        answer = self._answers.get(message.subject)
        if answer is not None and not answer.done():
            answer.set_result(message)

    async def _process_headers(self, headers: bytes | None) -> dict[str, str] | None:
        if headers and is_plain(headers):
            return read_headers(headers) or None
        found: dict[str, str] | None = await super()._process_headers(headers)
        return found

    async def _process_msg(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes
    ) -> None:
        sink = self._sinks.get(sid)
        if sink is None:
            await super()._process_msg(sid, subject, reply, data, headers)
            return
        self.stats["in_msgs"] += 1
        self.stats["in_bytes"] += len(data)
        found = None
        if headers:
            if is_plain(headers):
                found = read_headers(headers) or None
            else:
                found = await super()._process_headers(headers)
        try:
            sink(Msg(self, subject.decode(), reply.decode(), data, found, _sid=sid))
        except Exception as error:  # noqa: BLE001 - it must not end the reading of the connection
            await self._error_cb(error)

    def _remove_sub(self, sid: int, max_msgs: int = 0) -> None:
        self._sinks.pop(sid, None)
        super()._remove_sub(sid, max_msgs)

    async def _send_publish(
        self,
        subject: str,
        reply: str,
        payload: bytes,
        payload_size: int,
        headers: dict[str, Any] | None,
    ) -> None:
        if headers is None:
            await super()._send_publish(subject, reply, payload, payload_size, headers)
            return
        if subject == "":
            raise BadSubjectError
        block = write_headers(headers)
        sizes = f"{len(block)} {len(block) + payload_size}"
        command = b"".join(
            (f"HPUB {subject} {reply} {sizes}\r\n".encode(), block, payload, b"\r\n")
        )
        self.stats["out_msgs"] += 1
        self.stats["out_bytes"] += payload_size
        await self._send_command(command)
        if self._flush_queue is not None and self._flush_queue.empty():
            await self._flush_pending()


async def listen(client: Client, subject: str, sink: Sink) -> Subscription:
    """`LeanClient.listen`, or the library's own way on a connection that somebody else made."""
    if isinstance(client, LeanClient):
        return await client.listen(subject, sink)

    async def hand_over(message: Msg) -> None:
        sink(message)

    return await client.subscribe(
        subject,
        cb=hand_over,
        pending_msgs_limit=PENDING_MESSAGES_MAX,
        pending_bytes_limit=PENDING_BYTES_MAX,
    )


async def connect(**options: Any) -> LeanClient:
    """Connect as `nats.connect` does."""
    client = LeanClient()
    try:
        await client.connect(**options)
    except BaseException:
        await client.close()  # the library leaves its socket open
        raise
    return client


async def _never_called(message: Msg) -> None:
    raise AssertionError("a message went past the sink of its subscription")


def _give_up(answer: asyncio.Future[Msg]) -> None:
    if not answer.done():
        answer.set_exception(TimeoutError())
