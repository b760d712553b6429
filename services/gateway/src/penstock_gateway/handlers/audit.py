"""The audit: what no service handles goes to the dead letters."""

from penstock_chassis.errors import Reject
from penstock_chassis.ports import Delivery
from penstock_schemas import InvalidSubject, UnknownType, event_class, parse_subject


async def audit(delivery: Delivery) -> None:
    """Send to the dead letters what no service handles: no subject of ours, or an unknown type."""
    try:
        event_class(parse_subject(delivery.message.subject).type)
    except (InvalidSubject, UnknownType) as error:
        raise Reject(str(error)) from None
