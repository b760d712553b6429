"""Sources of webhooks: set up as asked, or refused."""

from penstock_chassis.decider import Decider
from penstock_chassis.message import Recorded
from penstock_gateway.domain import sources
from penstock_gateway.domain.sources import SourceBook


async def on_source_requested(desk: Decider[SourceBook], message: Recorded) -> None:
    """Set up a source of webhooks, or say why it would not work."""
    await desk.handle(message, sources.decide_requested)
