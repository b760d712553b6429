"""The accounts of namespaces, for servers that the platform did not start.

The embedded servers follow the log by themselves. Elsewhere an operator puts what is told here into
the configuration of nats-server, or of the S3 server, and again whenever a credential changes.
"""

import asyncio
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from penstock_chassis.accounts.bus import PLATFORM_USER, bus_accounts
from penstock_chassis.accounts.objects import object_identities, object_policies
from penstock_gateway.http.answers import json_response
from penstock_gateway.http.context import Context, context_of
from penstock_gateway.http.describing import Answer, describes
from penstock_gateway.http.problems import Problem
from penstock_schemas import SYSTEM_NAMESPACE

BCRYPT_ROUNDS = 11
"""2**11: what the tools of NATS choose; about 0.1 s for each connection of the platform."""
BCRYPT_BYTES_MAX = 72
"""bcrypt reads no more of a password."""


@describes(
    Answer("`accounts`, as a part of the configuration of nats-server", {"type": "object"}),
    problems=(401, 409),
)
async def export_bus(request: Request) -> Response:
    """The bus's accounts. No secret is in them: namespaces by public NKey, the platform by the
    bcrypt hash of the password in its own PENSTOCK_NATS_URL."""
    context = context_of(request)
    user, password = _platform_user(context.settings.nats_url)
    hashed = await asyncio.to_thread(_hashed, password)
    return json_response(bus_accounts(_credentials(context), hashed, user))


@describes(
    Answer("The file of identities of SeaweedFS, with secret keys", {"type": "object"}),
    problems=(401, 409),
)
async def export_identities(request: Request) -> Response:
    """The object store's accounts as SeaweedFS reads them (`-s3.config`). The answer holds the
    secret keys of all, the administrator's too."""
    context, settings = context_of(request), context_of(request).settings
    secret = settings.objects_secret_key.get_secret_value()
    if not secret:
        raise Problem(
            409,
            "this gateway has no administrator's key, of which the others are derived",
            hint="set PENSTOCK_OBJECTS_ACCESS_KEY and PENSTOCK_OBJECTS_SECRET_KEY",
        )
    return json_response(
        object_identities(
            _credentials(context), settings.objects_access_key, secret, settings.objects_bucket
        )
    )


@describes(Answer("`policies` of IAM by name", {"type": "object"}), problems=(401,))
async def export_policies(request: Request) -> Response:
    """What a namespace's key may do at the object store, as policies of IAM (MinIO, AWS): for each
    namespace with members or credentials, one of a viewer and one of an editor."""
    context = context_of(request)
    book = context.accounts.state
    known = {name for roles in book.members.values() for name in roles}
    known |= {one.namespace for one in book.credentials.values()}
    bucket = context.settings.objects_bucket
    return json_response({"policies": object_policies(known - {SYSTEM_NAMESPACE}, bucket)})


def _credentials(context: Context) -> list[Any]:
    return list(context.accounts.state.credentials.values())


def _platform_user(url: str) -> tuple[str, str]:
    """The user and password by which the platform's services connect."""
    first = urlsplit(url.split(",", maxsplit=1)[0].strip())
    if not first.password:
        raise Problem(
            409,
            "the services connect to the bus without a password: these accounts lock them out",
            hint="set PENSTOCK_NATS_URL=nats://penstock:<password>@<host>:4222 for all of them, "
            "which a server without accounts takes, too; then export again",
        )
    password = unquote(first.password)
    if len(password.encode()) > BCRYPT_BYTES_MAX:
        raise Problem(409, f"the password of the bus has more than {BCRYPT_BYTES_MAX} bytes")
    return unquote(first.username or PLATFORM_USER), password


@lru_cache(maxsize=1)
def _hashed(password: str) -> str:
    """Its bcrypt hash; the same for as long as the process lives, so that nothing changes where no
    credential did."""
    import bcrypt  # noqa: PLC0415 - for these answers alone

    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(BCRYPT_ROUNDS, b"2a")).decode()


ROUTES = [
    Route("/v1/platform/accounts/nats", export_bus),
    Route("/v1/platform/accounts/seaweedfs", export_identities),
    Route("/v1/platform/accounts/iam", export_policies),
]
