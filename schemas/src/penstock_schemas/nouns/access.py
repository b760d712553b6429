"""Who may do what: namespaces and their members, API tokens, their credentials for the bus and the
object store. Secrets are in no event: a token is known here by its hash, a credential by its
public half."""

from typing import Annotated, Literal

from pydantic import Field

from penstock_schemas.event import Event
from penstock_schemas.names import Digest, Name
from penstock_schemas.nouns.parts import ShortText, Text, Time

Role = Annotated[
    Literal["viewer", "editor", "admin"],
    Field(description="What it permits: to read; to write as well; to decide who may"),
]
By = Annotated[Text, Field(description="The account that did it")]
NAMESPACES_MAX = 1000
MEMBERS_MAX = 400
"""Of one document: what it changes is one atomic append of at most 1,000 events."""


class NamespaceConfigured(Event):
    """A namespace was set up by a document: these are its members, and no others. Each member that
    changes is told by an event of its own (`member.added`, `member.removed`) beside this one."""

    type = "namespace.configured"
    key = "namespace"
    owner = "gateway"
    declarative = True
    example = {
        "namespace": "vision",
        "description": "cameras and robots",
        "members": {"ada": "admin", "ci": "editor"},
    }

    namespace: Annotated[Name, Field(description="It lives in itself")]
    description: Annotated[Text, Field(description="What it is for")] = ""
    members: Annotated[
        dict[Name, Role],
        Field(max_length=MEMBERS_MAX, description="Roles by account; who is not named has none"),
    ] = {}


class MemberAdded(Event):
    """An account has a role in this namespace from now on, whatever role it had before."""

    type = "member.added"
    key = "member"
    owner = "gateway"
    example = {"member": "ci", "role": "editor", "by": "bootstrap"}

    member: Annotated[Name, Field(description="The account")]
    role: Role
    by: By = ""


class MemberRemoved(Event):
    """An account has no role in this namespace any more: its tokens are of no use here."""

    type = "member.removed"
    key = "member"
    owner = "gateway"
    example = {"member": "ci", "by": "bootstrap"}

    member: Annotated[Name, Field(description="The account")]
    by: By = ""


class TokenIssued(Event):
    """An API token was made; whoever holds it acts as its account, within `role`."""

    type = "token.issued"
    key = "token"
    owner = "gateway"
    example = {
        "token": "0190c2a4-7b1e-7c30-8f00-000000000001",
        "account": "ci",
        "role": "editor",
        "hash": "sha256:" + "ab" * 32,
        "expires_at": "2027-02-22T10:00:00Z",
        "description": "nightly training",
        "by": "bootstrap",
    }

    token: Name
    account: Annotated[Name, Field(description="Whom its holder acts as")]
    role: Role
    namespaces: Annotated[
        tuple[Name, ...],
        Field(
            max_length=NAMESPACES_MAX,
            description="Where it is good, if it was issued in `system`: these namespaces, or "
            "everywhere where there are none; any other is good in its own namespace alone",
        ),
    ] = ()
    hash: Annotated[Digest, Field(description="SHA-256 of the token; the token itself is nowhere")]
    expires_at: Annotated[Time, Field(description="When it ends by itself")]
    description: Annotated[Text, Field(description="What it is for")] = ""
    by: By = ""


class TokenRevoked(Event):
    """The token is refused from now on."""

    type = "token.revoked"
    key = "token"
    owner = "gateway"
    example = {
        "token": "0190c2a4-7b1e-7c30-8f00-000000000001",
        "reason": "found in a public repository",
        "by": "bootstrap",
    }

    token: Name
    reason: Annotated[Text, Field(description="Why, for a person")] = ""
    by: By = ""


class CredentialIssued(Event):
    """A key pair lets its holder into the bus or the object store itself, in this namespace."""

    type = "credential.issued"
    key = "credential"
    owner = "gateway"
    example = {
        "credential": "0190c2a4-7b1e-7c30-8f00-000000000001",
        "kind": "nats",
        "role": "editor",
        "public_key": "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4",
        "description": "the robots' own client",
        "by": "bootstrap",
    }

    credential: Name
    kind: Annotated[Literal["nats", "s3"], Field(description="What it opens")]
    role: Role
    public_key: Annotated[
        ShortText, Field(description="The public NKey, or the access key: its holder has the other")
    ]
    description: Annotated[Text, Field(description="What it is for")] = ""
    by: By = ""


class CredentialRevoked(Event):
    """The key is refused from now on, and its connections are closed."""

    type = "credential.revoked"
    key = "credential"
    owner = "gateway"
    example = {
        "credential": "0190c2a4-7b1e-7c30-8f00-000000000001",
        "reason": "the robots were sold",
        "by": "bootstrap",
    }

    credential: Name
    reason: Annotated[Text, Field(description="Why, for a person")] = ""
    by: By = ""
