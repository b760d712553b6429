"""The ASGI application: every route of the API on one context."""

from starlette.applications import Starlette
from starlette.middleware import Middleware

from penstock_gateway.http import (
    accounts,
    credentials,
    deadletters,
    declarations,
    deletion,
    events,
    exports,
    jobs,
    namespaces,
    objects,
    openapi,
    platform,
    projections,
    publish,
    rows,
    secrets,
    subscriptions,
    triggers,
    webhooks,
)
from penstock_gateway.http.access import guarded
from penstock_gateway.http.context import Context
from penstock_gateway.http.guards import HostGuard
from penstock_gateway.http.problems import EXCEPTION_HANDLERS

ROUTES = [
    *openapi.ROUTES,
    *platform.ROUTES,
    *exports.ROUTES,
    *projections.ROUTES,
    *deadletters.ROUTES,
    *accounts.ROUTES,
    *credentials.ROUTES,
    *webhooks.ROUTES,
    *secrets.ROUTES,
    *subscriptions.ROUTES,
    *events.ROUTES,
    *publish.ROUTES,
    *objects.ROUTES,
    *jobs.ROUTES,
    *triggers.ROUTES,
    *deletion.ROUTES,
    *namespaces.ROUTES,
    *declarations.ROUTES,
    *rows.ROUTES,  # last: a noun's name may stand in any place
]


def make_application(context: Context) -> Starlette:
    """The application; it holds no state but the context's."""
    application = Starlette(
        routes=[guarded(route) for route in ROUTES],
        middleware=[Middleware(HostGuard, hosts=context.settings.hosts)],
        exception_handlers=EXCEPTION_HANDLERS,
    )
    application.state.context = context
    application.state.routes = ROUTES
    application.router.redirect_slashes = False
    return application
