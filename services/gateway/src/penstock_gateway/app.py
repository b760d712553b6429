"""The composition root of the gateway."""

import random
from collections.abc import Callable
from functools import partial

from penstock_chassis.adapters.access import account_fold, make_bearers
from penstock_chassis.consumer import ConsumerLoop, Dispatch
from penstock_chassis.deaths import Deaths
from penstock_chassis.decider import Decider
from penstock_chassis.fold import Fold
from penstock_chassis.ports import ConsumerSpec, Ports
from penstock_chassis.sealing import Sealer, read_key_file, read_keys
from penstock_chassis.secrets import SealedSecrets
from penstock_chassis.service import Service, ServiceSpec
from penstock_gateway.adapters.cel import compile_cel
from penstock_gateway.adapters.http_server import UvicornServer
from penstock_gateway.adapters.postgres_rows import postgres_rows
from penstock_gateway.adapters.sqlite_rows import sqlite_rows
from penstock_gateway.domain import sources, subscriptions
from penstock_gateway.domain.reach import Reach, reach_of
from penstock_gateway.domain.sources import SourceBook
from penstock_gateway.domain.state import NOUNS
from penstock_gateway.domain.subscriptions import SubscriptionBook
from penstock_gateway.handlers import (
    TriggerDesk,
    audit,
    on_source_requested,
    on_subscription_wish,
)
from penstock_gateway.http.application import make_application
from penstock_gateway.http.context import Context
from penstock_gateway.http.history import History
from penstock_gateway.http.reading import Reading
from penstock_gateway.http.rebuilding import Rebuilding
from penstock_gateway.http.secrets import tell_all
from penstock_gateway.http.streams import Streams
from penstock_gateway.nouns import PROJECTION, TRIGGERS_VERSION, VIEWS
from penstock_gateway.ports import RowStore, Server, WebhookSender
from penstock_gateway.settings import GatewaySettings
from penstock_gateway.supervisor.couriers import Couriers
from penstock_gateway.supervisor.following import FeedingFold
from penstock_gateway.supervisor.keyring import Keyring
from penstock_gateway.supervisor.projector import Projector
from penstock_schemas import (
    SourceRequested,
    SubscriptionRemoveRequested,
    SubscriptionReplayRequested,
    SubscriptionRequested,
    filter_of,
    new_id,
)

AUDIT_CONSUMER = "gateway-audit"


def make_store(settings: GatewaySettings) -> RowStore:
    """Where the rows are kept: in PostgreSQL where the settings name one, else in SQLite."""
    indexed = {noun: view.indexed for noun, view in VIEWS.items()}
    url = settings.database_url.get_secret_value()
    return postgres_rows(url, indexed) if url else sqlite_rows(settings.read_model_path, indexed)


def make_sealer(settings: GatewaySettings) -> Sealer | None:
    """What seals secrets, if a key is configured; raises `ChassisError` for one that is none."""
    if keys := settings.secrets_key.get_secret_value():
        return read_keys(keys, "PENSTOCK_SECRETS_KEY")
    return read_key_file(settings.secrets_key_file) if settings.secrets_key_file else None


def make_sender(reach: Reach) -> WebhookSender:
    """The HTTP client of deliveries; imported with the first of them, for it costs memory."""
    from penstock_gateway.adapters.guarded_http import GuardedHttp  # noqa: PLC0415

    return GuardedHttp(reach)


def make_context(
    settings: GatewaySettings,
    ports: Ports,
    store: RowStore | None = None,
    sender: Callable[[], WebhookSender] | None = None,
) -> Context:
    """What the API stands on; raises `ChassisError` for a sealing key that is none."""
    store = store or make_store(settings)
    filters = tuple(filter_of(type=f"{noun}.*") for noun in sorted(NOUNS))
    projector = Projector(ports.log, store, PROJECTION, filters)
    accounts = account_fold()
    secrets = SealedSecrets(ports.kv, make_sealer(settings))
    book = Fold({"source", "secret"}, SourceBook(), sources.evolve)
    return Context(
        settings=settings,
        ports=ports,
        fold=FeedingFold(projector),
        reading=Reading(projector, History(ports.log, PROJECTION)),
        rebuilding=Rebuilding(projector),
        triggers=TriggerDesk(ports.log, ports.clock, VIEWS, compile_cel, store, TRIGGERS_VERSION),
        streams=Streams(ports.log),
        accounts=accounts,
        bearers=make_bearers(settings, accounts, ports.clock),
        sources=book,
        secrets=secrets,
        keyring=Keyring(secrets, book),
        subscriptions=Fold({"subscription", "secret"}, SubscriptionBook(), subscriptions.evolve),
        make_sender=sender or partial(make_sender, reach_of(settings.subscription_networks)),
    )


def build(
    settings: GatewaySettings,
    ports: Ports,
    server: Server | None = None,
    store: RowStore | None = None,
    sender: Callable[[], WebhookSender] | None = None,
) -> Service:
    """The gateway on its ports."""
    context = make_context(settings, ports, store, sender)
    projector = context.reading.projector
    source_desk = Decider("gateway", ports.log, ports.clock, context.sources)
    subscription_desk = Decider("gateway", ports.log, ports.clock, context.subscriptions)
    on_wish = partial(
        on_subscription_wish, subscription_desk, reach_of(settings.subscription_networks)
    )
    couriers = Couriers(
        ports,
        subscription_desk,
        context.make_sender,
        context.keyring.values,
        random.random,
        settings.subscription_give_up_seconds,
        holder=new_id(),
    )
    server = server or UvicornServer(settings.host, settings.port)
    everything = ("penstock.>",)

    async def close() -> None:
        await context.triggers.checkpoint()
        await projector.store.close()

    return Service(
        name="gateway",
        folds=[context.fold, context.sources, context.subscriptions, context.accounts],
        serial="all",
        handlers={
            SourceRequested: partial(on_source_requested, source_desk),
            SubscriptionRequested: on_wish,
            SubscriptionReplayRequested: on_wish,
            SubscriptionRemoveRequested: on_wish,
        },
        background=[
            projector.run,
            context.triggers.run,
            partial(_consume, ports, ConsumerSpec(AUDIT_CONSUMER, everything), audit),
            partial(tell_all, context),
            couriers.run,
            partial(server.serve, make_application(context), context.streams.stop),
        ],
        close=close,
    )


async def _consume(ports: Ports, spec: ConsumerSpec, dispatch: Dispatch) -> None:
    """Feed every message of a durable consumer, one at a time, to a function, for ever."""
    subscription = await ports.consumers.open(spec)
    await ConsumerLoop(
        spec.name,
        subscription,
        dispatch,
        ports.dead_letters,
        serial="all",
        lease_seconds=spec.lease_seconds,
        deaths=Deaths(spec.name, ports.kv),
    ).run()


SERVICE = ServiceSpec(
    name="gateway",
    settings=GatewaySettings,
    build=build,
    summary="the HTTP API, webhooks, triggers and the read model",
)
