"""The platform itself: health, metrics, addresses and services."""

from importlib.metadata import version

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from penstock_chassis.discovery import installed_names
from penstock_chassis.errors import ChassisError, NotFound
from penstock_chassis.health import readiness
from penstock_chassis.metrics import exposition
from penstock_gateway.http.answers import json_response
from penstock_gateway.http.context import Context, context_of
from penstock_gateway.http.describing import TEXT, Answer, describes, items
from penstock_schemas import ANYONE, event_types

SERVICES = {event.owner for event in event_types().values()} - {ANYONE}
"""Those of the contracts; others may be installed beside them."""
WELCOME = """Penstock {version}

GET /v1/openapi.json         this API, as OpenAPI 3.1
GET /v1/platform              addresses and services
GET /v1/<namespace>/<noun>    what there is (`-` for all namespaces; ?at=<time> for the past)
GET /v1/<namespace>/event     the log; /event/stream follows it
GET /v1/projection            how far the rows are; POST /v1/projection/rebuild
"""

GATEWAY = "gateway"


@describes(Answer("Where to look", {"type": "string"}, TEXT))
async def welcome(_: Request) -> Response:
    """Where to look."""
    return PlainTextResponse(WELCOME.format(version=version("penstock-gateway")))


@describes(Answer("It does"))
async def livez(_: Request) -> Response:
    """The event loop turns."""
    return json_response({"live": True})


@describes({200: Answer("Ready"), 503: Answer("Not ready, and why")})
async def readyz(request: Request) -> Response:
    """The bus answers and the read model follows it."""
    context = context_of(request)

    async def bus() -> None:
        head = await context.ports.log.head(context.fold.filters)
        await context.fold.reach(head)

    async def rows() -> None:
        head = await context.ports.log.head(context.fold.filters)
        await context.reading.projector.reach(head)

    said = await readiness({"gateway.bus": bus, "gateway.rows": rows})
    ready = all(word == "ok" for word in said.values())
    return json_response({"ready": ready, "checks": said}, 200 if ready else 503)


@describes(Answer("Prometheus text", {"type": "string"}, TEXT))
async def metrics(_: Request) -> Response:
    """The metrics of this process, in the Prometheus text format."""
    return Response(exposition(), media_type="text/plain; version=0.0.4")


@describes(Answer("What there is", "Platform"))
async def platform(request: Request) -> Response:
    """Addresses, versions, services."""
    context = context_of(request)
    settings = context.settings
    return json_response(
        {
            "version": version("penstock-gateway"),
            "gateway_url": settings.gateway_url or str(request.base_url).rstrip("/"),
            "serving_url": settings.serving_url,
            "nats_url": ",".join(map(_without_secrets, settings.nats_url.split(","))),
            "services": {str(item.pop("name")): item for item in await _services(context)},
            "position": await context.ports.log.head(["penstock.>"]),
        }
    )


@describes(Answer("Every service", items()))
async def services(request: Request) -> Response:
    """Every service of the contracts, and what it has not acknowledged."""
    return json_response({"items": await _services(context_of(request))})


async def _services(context: Context) -> list[dict[str, object]]:
    """A service is ready while it waits for messages of its durable consumer or holds some,
    wherever it runs; `position` is the last sequence of the log of which it has acknowledged
    everything, known only where nothing is pending. The gateway has no such consumer: what it
    has judged for its triggers stands for it."""
    head = context.fold.position
    items: list[dict[str, object]] = []
    for name in sorted({*SERVICES, *installed_names()}):
        if name == GATEWAY:
            items.append(_gateway(context, head))
            continue
        item: dict[str, object] = {"name": name, "ready": False, "pending": None, "position": None}
        try:
            pending = await context.ports.consumers.pending(name)
            ready = await context.ports.consumers.attended(name)
            item |= {"ready": ready, "pending": pending, "position": None if pending else head}
        except NotFound:
            pass  # it has never been started
        except ChassisError as error:
            item["problem"] = str(error)
        items.append(item)
    return items


def _gateway(context: Context, head: int) -> dict[str, object]:
    judged = context.triggers.book.position
    return {
        "name": GATEWAY,
        "ready": context.triggers.caught_up,
        "pending": max(0, head - judged),
        "position": judged,
    }


def _without_secrets(url: str) -> str:
    """A URL without user and password."""
    scheme, mark, rest = url.strip().partition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}"


ROUTES = [
    Route("/", welcome),
    Route("/livez", livez),
    Route("/readyz", readyz),
    Route("/metrics", metrics),
    Route("/v1/platform", platform),
    Route("/v1/service", services),
]
