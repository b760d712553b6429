"""What the routes of the API stand on."""

from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request

from penstock_chassis.accounts import AccountBook, Bearers
from penstock_chassis.fold import Fold
from penstock_chassis.ports import Ports, Secrets
from penstock_gateway.domain.sources import SourceBook
from penstock_gateway.domain.subscriptions import SubscriptionBook
from penstock_gateway.handlers import TriggerDesk
from penstock_gateway.http.reading import Reading
from penstock_gateway.http.rebuilding import Rebuilding
from penstock_gateway.http.streams import Streams
from penstock_gateway.ports import WebhookSender
from penstock_gateway.settings import GatewaySettings
from penstock_gateway.supervisor.following import FeedingFold
from penstock_gateway.supervisor.keyring import Keyring

SOURCE = "penstock/gateway"


@dataclass(frozen=True)
class Context:
    """One value for all routes of one application."""

    settings: GatewaySettings
    ports: Ports
    fold: FeedingFold
    reading: Reading
    rebuilding: Rebuilding
    triggers: TriggerDesk
    streams: Streams
    accounts: Fold[AccountBook]
    bearers: Bearers
    sources: Fold[SourceBook]
    secrets: Secrets
    keyring: Keyring
    subscriptions: Fold[SubscriptionBook]
    make_sender: Callable[[], WebhookSender]


def context_of(request: Request) -> Context:
    """The context of the application that a request came to."""
    context = request.app.state.context
    assert isinstance(context, Context)
    return context


def source_of(request: Request) -> str:
    """What the envelope of an event says of who asked for it."""
    if context_of(request).bearers.open:
        return SOURCE
    return f"{SOURCE}/{request.state.principal.account}"
