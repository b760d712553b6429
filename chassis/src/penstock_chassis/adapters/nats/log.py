"""The event log on JetStream.

Facts of server 2.15 that decide this code: the expected sequence is checked before duplicates,
so the second sending of a guarded message looks like a conflict until one looks at what stands
there; a batch that holds an id of the duplicate window is refused whole (10201).
"""

import json
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any

from nats.aio.client import Client
from nats.errors import ConnectionClosedError, MaxPayloadError, NoRespondersError, TimeoutError

from penstock_chassis.adapters.nats.connection import CALL_SECONDS, call
from penstock_chassis.adapters.nats.ordered import ordered
from penstock_chassis.adapters.nats.stored import from_direct_get
from penstock_chassis.errors import ChassisError, Conflict, NotFound, TooLarge, Unavailable
from penstock_chassis.ports import (
    BATCH_MESSAGES_MAX,
    Appended,
    Guard,
    Message,
    StoredMessage,
)
from penstock_schemas import new_id

WRONG_LAST_SEQUENCE = 10071
WRONG_LAST_SEQUENCE_CONSTANT = 10164
BATCH_DUPLICATE = 10201
READ_BATCH = 1000
ID_HEADER = "Nats-Msg-Id"
EXPECTED = "Nats-Expected-Last-Subject-Sequence"
EXPECTED_SUBJECT = "Nats-Expected-Last-Subject-Sequence-Subject"


class NatsLog:
    """`EventLog` on one stream."""

    def __init__(self, client: Client, stream: str) -> None:
        self._client = client
        self._stream = stream

    async def append(self, messages: Sequence[Message]) -> Appended:
        """See `EventLog.append`."""
        if not 1 <= len(messages) <= BATCH_MESSAGES_MAX:
            raise ValueError(f"an append holds 1 to {BATCH_MESSAGES_MAX} messages")
        answer = await (self._one(messages[0]) if len(messages) == 1 else self._batch(messages))
        problem = answer.get("error")
        if problem is None:
            return Appended(int(answer["seq"]), bool(answer.get("duplicate", False)))
        code = problem.get("err_code")
        if code in (WRONG_LAST_SEQUENCE, WRONG_LAST_SEQUENCE_CONSTANT, BATCH_DUPLICATE):
            return await self._already(messages, problem["description"])
        if problem.get("code") == 503:
            raise Unavailable(problem["description"])
        raise ChassisError(f"append refused: {problem['description']} ({code})")

    async def _one(self, message: Message) -> dict[str, Any]:
        return await self._request(message, _headers(message))

    async def _batch(self, messages: Sequence[Message]) -> dict[str, Any]:
        batch = new_id()
        answer: dict[str, Any] = {}
        for number, message in enumerate(messages, 1):
            headers = _headers(message) | {
                "Nats-Batch-Id": batch,
                "Nats-Batch-Sequence": str(number),
            }
            last = number == len(messages)
            if last:
                headers["Nats-Batch-Commit"] = "1"
            if last or number == 1:
                answer = await self._request(message, headers)
                if "error" in answer:
                    break
            else:
                try:
                    await self._client.publish(message.subject, message.payload, headers=headers)
                except MaxPayloadError:
                    raise self._too_large(message) from None
        return answer

    def _too_large(self, message: Message) -> TooLarge:
        return TooLarge(
            f"{message.subject}: {len(message.payload)} bytes are more than the bus carries "
            f"({self._client.max_payload}): put the data into the object store"
        )

    async def _request(self, message: Message, headers: dict[str, str]) -> dict[str, Any]:
        try:
            reply = await self._client.request(
                message.subject, message.payload, timeout=CALL_SECONDS, headers=headers
            )
        except MaxPayloadError:
            raise self._too_large(message) from None
        except (TimeoutError, NoRespondersError, ConnectionClosedError, OSError) as error:
            raise Unavailable(f"append not answered: {error!r}") from error
        result: dict[str, Any] = json.loads(reply.data.decode()) if reply.data else {}
        return result

    async def _already(self, messages: Sequence[Message], description: str) -> Appended:
        """Success where our own message is what stands there; else raises `Conflict`."""
        guard = next((m.guard for m in messages if m.guard is not None), None)
        ours = next((m for m in messages if m.guard is not None), messages[0])
        place = guard or Guard(ours.subject, 0)
        sequence = None
        for standing in await self.read(place.filter, after=place.sequence):
            if standing.headers.get(ID_HEADER) == ours.id:
                offset = len(messages) - 1 - list(messages).index(ours)
                return Appended(standing.sequence + offset, duplicate=True)
            sequence = standing.sequence
        raise Conflict(f"{place.filter}: {description}", sequence)

    async def read(self, filter: str, *, after: int = 0, limit: int = 0) -> list[StoredMessage]:
        """See `EventLog.read`."""
        found: list[StoredMessage] = []
        while True:
            wanted = min(READ_BATCH, limit - len(found)) if limit else READ_BATCH
            page, pending = await self._page(filter, after + 1, wanted)
            found += page
            if not page or not pending or (limit and len(found) >= limit):
                return found
            after = page[-1].sequence

    async def _page(self, filter: str, start: int, count: int) -> tuple[list[StoredMessage], int]:
        inbox = self._client.new_inbox()
        subscription = await self._client.subscribe(inbox)
        body = {"seq": start, "next_by_subj": filter, "batch": count}
        try:
            await self._client.publish(
                f"$JS.API.DIRECT.GET.{self._stream}", json.dumps(body).encode(), reply=inbox
            )
            page: list[StoredMessage] = []
            while True:
                message = await subscription.next_msg(timeout=CALL_SECONDS)
                headers = message.headers or {}
                status = headers.get("Status")
                if status is None:
                    page.append(from_direct_get(message))
                elif status == "204":
                    return page, int(headers.get("Nats-Num-Pending", "0"))
                elif status == "404":
                    return page, 0
                else:
                    raise Unavailable(f"read of {filter}: {headers}")
        except (TimeoutError, NoRespondersError, ConnectionClosedError, OSError) as error:
            raise Unavailable(f"read of {filter} not answered: {error!r}") from error
        finally:
            await subscription.unsubscribe()

    async def get(self, sequence: int) -> StoredMessage:
        """See `EventLog.get`."""
        try:
            message = await self._client.request(
                f"$JS.API.DIRECT.GET.{self._stream}",
                json.dumps({"seq": sequence}).encode(),
                timeout=CALL_SECONDS,
            )
        except (TimeoutError, NoRespondersError, ConnectionClosedError, OSError) as error:
            raise Unavailable(f"get of {sequence} not answered: {error!r}") from error
        if (message.headers or {}).get("Status"):
            raise NotFound(f"{self._stream} has no message {sequence}")
        return from_direct_get(message)

    async def head(self, filters: Sequence[str]) -> int:
        """See `EventLog.head`."""
        last = 0
        for filter in filters:
            try:
                body = {"last_by_subj": filter}
                found = await call(self._client, f"STREAM.MSG.GET.{self._stream}", body)
            except NotFound:
                continue
            last = max(last, int(found["message"]["seq"]))
        return last

    def follow(
        self, filters: Sequence[str], *, after: int = 0, since: datetime | None = None
    ) -> AsyncIterator[StoredMessage]:
        """See `EventLog.follow`."""
        return ordered(self._client, self._stream, filters, after, since)


def _headers(message: Message) -> dict[str, str]:
    headers = {**message.headers, ID_HEADER: message.id}
    if message.guard is not None:
        headers[EXPECTED] = str(message.guard.sequence)
        headers[EXPECTED_SUBJECT] = message.guard.filter
    return headers
