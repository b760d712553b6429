"""Dead letters: the original message with its headers, and why it was given up, beside it.

The original's headers travel as one JSON header, so that none of them acts on this stream.

A letter has a subject of its own, `deadletter.<service>.<sequence>`, and is stored only where
nothing stands there: once for ever, not only within the duplicate window. Letters of before that
stand on `deadletter.<service>` and are read alike.
"""

import json

from nats.aio.client import Client
from nats.errors import Error as NatsError

from penstock_chassis.adapters.nats.connection import CALL_SECONDS, call
from penstock_chassis.adapters.nats.log import EXPECTED, WRONG_LAST_SEQUENCE, NatsLog
from penstock_chassis.errors import ChassisError, NotFound, Unavailable
from penstock_chassis.ports import DeadLetter, StoredMessage

REASON_LENGTH_MAX = 2000


class NatsDeadLetters:
    """`DeadLetters` on one stream, subjects `deadletter.<service>.<sequence>`."""

    def __init__(self, client: Client, stream: str) -> None:
        self._client = client
        self._stream = stream
        self._log = NatsLog(client, stream)

    async def put(self, letter: DeadLetter) -> None:
        """See `DeadLetters.put`."""
        about = {
            "subject": letter.subject,
            "sequence": letter.sequence,
            "reason": letter.reason[:REASON_LENGTH_MAX],
            "deliveries": letter.deliveries,
            "traceback": letter.traceback,
            "headers": dict(letter.headers),
        }
        headers = {EXPECTED: "0", "penstock-letter": json.dumps(about, ensure_ascii=True)}
        subject = f"deadletter.{letter.service}.{letter.sequence}"
        try:
            answer = await self._client.request(
                subject, letter.payload, timeout=CALL_SECONDS, headers=headers
            )
        except (NatsError, OSError) as error:
            raise Unavailable(f"dead letter not stored: {error!r}") from error
        problem = json.loads(answer.data).get("error")
        if problem and problem.get("err_code") != WRONG_LAST_SEQUENCE:  # else it is there already
            raise Unavailable(f"dead letter not stored: {problem}")

    async def list(self) -> list[DeadLetter]:
        """See `DeadLetters.list`."""
        return [_read(stored) for stored in await self._log.read("deadletter.>")]

    async def drop(self, position: int) -> None:
        """See `DeadLetters.drop`."""
        try:
            await call(self._client, f"STREAM.MSG.DELETE.{self._stream}", {"seq": position})
        except NotFound:
            raise
        except Unavailable:
            raise
        except ChassisError as error:
            raise NotFound(f"no dead letter {position}") from error


def _read(stored: StoredMessage) -> DeadLetter:
    about = json.loads(stored.headers["penstock-letter"])
    return DeadLetter(
        service=stored.subject.split(".")[1],
        subject=about["subject"],
        sequence=about["sequence"],
        reason=about["reason"],
        deliveries=about["deliveries"],
        traceback=about["traceback"],
        payload=stored.payload,
        headers=about["headers"],
        position=stored.sequence,
        time=stored.time,
    )
