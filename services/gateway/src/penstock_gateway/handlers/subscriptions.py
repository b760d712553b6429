"""Subscriptions to webhooks out: set up, changed, replayed and removed as asked, or refused."""

from penstock_chassis.decider import Decider
from penstock_chassis.message import Recorded
from penstock_gateway.domain.reach import Reach
from penstock_gateway.domain.subscriptions import SubscriptionBook, decide_wish


async def on_subscription_wish(
    desk: Decider[SubscriptionBook], reach: Reach, message: Recorded
) -> None:
    """Set up, change, replay or remove a subscription, or say why that is not possible."""
    await desk.handle(message, lambda book, event: decide_wish(book, event, reach))
