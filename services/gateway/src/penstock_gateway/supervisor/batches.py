"""The log in batches, as much of it as one transaction takes."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import NamedTuple, cast

from penstock_chassis.message import Recorded, read_recorded
from penstock_chassis.ports import EventLog, StoredMessage
from penstock_schemas import SchemaError

BATCH_EVENTS_MAX = 500
"""Messages of one transaction."""


class Item(NamedTuple):
    """A message and the event in it, None where it is not readable."""

    stored: StoredMessage
    recorded: Recorded | None


def read_item(stored: StoredMessage) -> Item:
    """A message from the log."""
    try:
        return Item(stored, read_recorded(stored))
    except SchemaError:
        return Item(stored, None)


async def batches(
    log: EventLog, filters: Sequence[str], after: int, until: Callable[[], int]
) -> AsyncGenerator[list[Item], None]:
    """The log from `after` to `until()` (a sequence that the filters match), in batches."""
    if after >= until():
        return
    batch: list[Item] = []
    following = log.follow(filters, after=after)
    async with aclosing(cast("AsyncGenerator[StoredMessage, None]", following)) as messages:
        async for stored in messages:
            done = stored.sequence >= until()
            if stored.sequence <= until():
                batch.append(read_item(stored))
            if batch and (done or len(batch) == BATCH_EVENTS_MAX):
                yield batch
                batch = []
            if done:
                return
