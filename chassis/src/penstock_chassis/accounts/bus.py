"""The bus's own accounts, as the configuration of nats-server: pure.

The platform's services share one account, which alone has JetStream. Each namespace with
credentials has an account of its own. What passes between them, the server itself enforces:

- as a stream import, the events of the namespace, `penstock.<namespace>.>`, and no others;
- as service imports, the wishes and outside facts that anyone may append, in that namespace, and
  that the credential's role may send. Such a publish reaches the stream of events; sent as a
  request, it is acknowledged once it is durable.

Subject permissions inside one shared account would not do: consumer names are no tokens of their
own, so one tenant could read through, or break, another's consumer. A tenant's account has no
JetStream, no other account's subjects, and no way to the JetStream API of the platform's.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from penstock_chassis.accounts.book import Credential
from penstock_schemas import (
    ADMIN,
    ANYONE,
    ROOT,
    TriggerFireRequested,
    TriggerRequested,
    event_types,
)

PLATFORM_ACCOUNT = "PENSTOCK"
PLATFORM_USER = "penstock"
PREFIX = "NAMESPACE-"
INBOX = "_INBOX.>"
JUDGED_BY_PAYLOAD = frozenset({TriggerRequested.type, TriggerFireRequested.type})
"""Wishes of which only the payload says which role they take (`penstock_schemas.roles`)."""
CONNECTIONS_MAX = 100
"""Of one namespace."""
SUBSCRIPTIONS_MAX = 1000
"""Of one connection."""


def bus_accounts(
    credentials: Iterable[Credential],
    password: str | None = None,
    user: str = PLATFORM_USER,
) -> Mapping[str, Any]:
    """What the configuration says of accounts; the `password` of the platform's `user` is itself
    or its bcrypt hash.

    Without a `password` whoever brings no credential is the platform: for loopback alone.
    """
    tenants: dict[str, list[Credential]] = defaultdict(list)
    for one in credentials:
        if one.issued.kind == "nats":
            tenants[one.namespace].append(one)
    accounts: dict[str, Any] = {
        PLATFORM_ACCOUNT: {
            "jetstream": "enabled",
            "users": [{"user": user, "password": password or PLATFORM_USER}],
            "exports": [export for name in sorted(tenants) for export in _exports(name)],
        }
    }
    for name in sorted(tenants):
        accounts[PREFIX + name] = _account(name, tenants[name])
    content: dict[str, Any] = {"accounts": accounts}
    if password is None:
        content["no_auth_user"] = PLATFORM_USER
    return content


def _wishes(namespace: str, role: str = ADMIN) -> list[str]:
    """The subjects that anyone may append to who has the role.

    What takes an admin shows in the type, or else in the payload, which the server does not read:
    then the type is for admins alone here, and the API is open to all whom it knows.
    """
    types = [
        type
        for type, contract in event_types().items()
        if contract.owner == ANYONE
        and (role == ADMIN or (contract.sender_role != ADMIN and type not in JUDGED_BY_PAYLOAD))
    ]
    return [f"{ROOT}.{namespace}.{type}.*" for type in types]


def _exports(namespace: str) -> list[dict[str, Any]]:
    only = [PREFIX + namespace]
    events: dict[str, Any] = {"stream": f"{ROOT}.{namespace}.>", "accounts": only}
    return [events, *({"service": one, "accounts": only} for one in _wishes(namespace))]


def _account(namespace: str, credentials: Iterable[Credential]) -> dict[str, Any]:
    events = f"{ROOT}.{namespace}.>"
    source = {"account": PLATFORM_ACCOUNT}
    return {
        "users": [_user(namespace, one) for one in credentials],
        "imports": [
            {"stream": {**source, "subject": events}},
            *({"service": {**source, "subject": one}} for one in _wishes(namespace)),
        ],
        "limits": {"max_connections": CONNECTIONS_MAX, "max_subscriptions": SUBSCRIPTIONS_MAX},
    }


def _user(namespace: str, credential: Credential) -> dict[str, Any]:
    role = credential.issued.role
    return {
        "nkey": credential.issued.public_key,
        "permissions": {
            "publish": {"allow": _wishes(namespace, role)} if role != "viewer" else {"deny": [">"]},
            "subscribe": {"allow": [f"{ROOT}.{namespace}.>", INBOX]},
        },
    }
