"""Credentials for the bus and the object store over HTTP: a key pair a holder, told once.

The bus knows the public key alone, and so does the log; each connection proves that it holds the
other half by signing what the server makes up (NKeys, Ed25519).
"""

import os
import secrets
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from penstock_chassis.accounts.objects import objects_secret
from penstock_gateway.http.access import principal_of
from penstock_gateway.http.accounts import body_of_fields, faults_by_field, settled
from penstock_gateway.http.answers import json_response
from penstock_gateway.http.appending import append_new, append_once
from penstock_gateway.http.context import Context, context_of, source_of
from penstock_gateway.http.describing import Answer, describes
from penstock_gateway.http.parameters import json_object, name_of, namespace_of
from penstock_gateway.http.problems import Problem
from penstock_schemas import (
    SYSTEM_NAMESPACE,
    CredentialIssued,
    CredentialRevoked,
    derived_id,
    new_id,
)

SEED_BYTES = 32
ACCESS_KEY_BYTES = 12


@describes(
    {201: Answer("The key pair, with its secret half this once")},
    body=Answer(
        "For the bus (`nats`) or the object store (`s3`), with which role",
        {
            "type": "object",
            "additionalProperties": False,
            "properties": {"kind": {}, "role": {}, "description": {}},
        },
    ),
    problems=(400, 413, 415, 422),
)
async def create_credential(request: Request) -> Response:
    """Make a key pair for the bus or the object store; its secret half is told this once."""
    context, namespace = context_of(request), namespace_of(request, writes=True)
    if namespace == SYSTEM_NAMESPACE:
        raise Problem(
            422, f"{SYSTEM_NAMESPACE} is the platform's own: no credentials", field="namespace"
        )
    body = body_of_fields(await json_object(request), {"kind", "role", "description"})
    kind = str(body.get("kind", "nats"))
    public_key, told = _made(context, kind, namespace)
    with faults_by_field():
        event = CredentialIssued.model_validate(
            {
                "credential": new_id(),
                "kind": kind,
                "role": body.get("role", "viewer"),
                "public_key": public_key,
                "description": body.get("description", ""),
                "by": principal_of(request).account,
            }
        )
    if event.role == "admin":
        raise Problem(
            422, "a credential is viewer or editor; who is admin asks the gateway", field="role"
        )
    appended = await append_new(context, event, namespace, new_id(), source=source_of(request))
    await settled(context, appended.sequence)
    answer = {
        "credential": event.credential,
        "kind": event.kind,
        "namespace": namespace,
        "role": event.role,
        "public_key": public_key,
        **told,
        "sequence": appended.sequence,
    }
    return json_response(answer, 201)


@describes(
    Answer("The credential that is refused now"), query=("reason",), problems=(400, 404, 422)
)
async def revoke_credential(request: Request) -> Response:
    """Refuse a key from now on. Again is harmless."""
    context, namespace = context_of(request), namespace_of(request, writes=True)
    id = name_of(request)
    issued = await context.ports.log.read(f"penstock.{namespace}.credential.issued.{id}", limit=1)
    if not issued:
        raise Problem(404, f"there is no credential {id!r} in {namespace}", field="id")
    reason = request.query_params.get("reason", "")
    by = principal_of(request).account
    with faults_by_field():
        event = CredentialRevoked(credential=id, reason=reason, by=by)
    event_id = derived_id(f"{namespace}/{id}", "credential revoked")
    source = source_of(request)
    appended = await append_once(
        context, event, namespace, event_id, source=source, whatever_stands=True
    )
    await settled(context, appended.sequence)
    return json_response({"credential": id, "sequence": appended.sequence})


def _made(context: Context, kind: str, namespace: str) -> tuple[str, dict[str, Any]]:
    """A public key, and what its holder is told beside it; the secret this once."""
    if kind != "s3":
        seed, public_key = _key_pair()
        return public_key, {"seed": seed}
    settings = context.settings
    if not settings.objects_secret_key.get_secret_value():
        raise Problem(422, "this gateway is not told of an S3 server of its own", field="kind")
    access_key = secrets.token_hex(ACCESS_KEY_BYTES)
    secret_key = objects_secret(settings.objects_secret_key.get_secret_value(), access_key)
    return access_key, {
        "secret_key": secret_key,
        "endpoint": settings.objects_endpoint,
        "bucket": settings.objects_bucket,
        "prefix": f"{namespace}/",
    }


def _key_pair() -> tuple[str, str]:
    """A fresh seed and its public key."""
    import nkeys  # noqa: PLC0415 - loads a library of cryptography

    seed = nkeys.encode_seed(os.urandom(SEED_BYTES), nkeys.PREFIX_BYTE_USER)
    return bytes(seed).decode(), nkeys.from_seed(bytearray(seed)).public_key.decode()


ROUTES = [
    Route("/v1/{namespace}/credential", create_credential, methods=["POST"]),
    Route("/v1/{namespace}/credential/{id}", revoke_credential, methods=["DELETE"]),
]
