"""Whether something derived from a log still belongs to it."""

from penstock_chassis.errors import NotFound
from penstock_chassis.ports import EventLog
from penstock_gateway.domain.event_index import message_mark


async def follows(log: EventLog, position: int, mark: str) -> bool:
    """Whether the log still holds the message that something derived from it ended with."""
    if position == 0:
        return True
    try:
        return message_mark(await log.get(position)) == mark
    except NotFound:
        return False
