"""Sources: who may send webhooks into a namespace, and how a delivery of theirs is verified."""

from typing import Annotated, Literal

from pydantic import Field

from penstock_schemas.event import ADMIN, ANYONE, Event, Value
from penstock_schemas.names import Name
from penstock_schemas.nouns.parts import Refusal

BODY_BYTES_MAX = 900_000
"""The largest delivery: with its envelope it must fit into one message of the bus (1 MiB)."""
SECRETS_MAX = 8
TOLERANCE_SECONDS = 300.0
"""How far a sender's clock may be from ours, as the Standard Webhooks specification asks."""
TOLERANCE_SECONDS_MAX = 86_400.0
HEADER_PATTERN = r"^([A-Za-z0-9-]{1,128})?$"

Header = Annotated[str, Field(pattern=HEADER_PATTERN)]
Place = Annotated[
    str,
    Field(
        pattern=r"^((header:[A-Za-z0-9-]{1,128})|(body:[^\s.]{1,128}(\.[^\s.]{1,128}){0,15}))?$",
        description="`header:<name>` or `body:<field>.<field>`; empty: as the scheme says",
    ),
]


class SourceOptions(Value):
    """What a scheme may be told beside its secrets; each scheme says which of these it takes."""

    header: Annotated[Header, Field(description="The header with the signature or the token")] = ""
    prefix: Annotated[
        str, Field(max_length=64, description="What stands before the signature, e.g. `sha256=`")
    ] = ""
    encoding: Annotated[
        Literal["hex", "base64"], Field(description="How the signature is written")
    ] = "hex"
    algorithm: Annotated[
        Literal["sha256", "sha384", "sha512"], Field(description="The hash of the HMAC")
    ] = "sha256"
    signed: Annotated[
        str,
        Field(
            max_length=128,
            description="What is signed: text with `{body}`, `{timestamp}` and `{id}` in it",
        ),
    ] = "{body}"
    timestamp_header: Annotated[
        Header, Field(description="The header with the sender's time, seconds since 1970")
    ] = ""
    id_from: Annotated[Place, Field(description="Where the delivery's id stands")] = ""
    kind_from: Annotated[Place, Field(description="Where the sender's event type stands")] = ""


class SourceSpec(Value):
    """What a source is: a scheme of verification, its secrets by name, its bounds."""

    scheme: Annotated[
        Name, Field(description="How deliveries are verified, e.g. `standard`, `github`")
    ]
    secrets: Annotated[
        tuple[Name, ...],
        Field(
            min_length=1,
            max_length=SECRETS_MAX,
            description="Names of secrets of the namespace; each value of each opens the door",
        ),
    ]
    options: SourceOptions = SourceOptions()
    tolerance_seconds: Annotated[
        float,
        Field(
            ge=1,
            le=TOLERANCE_SECONDS_MAX,
            description="How far a signed time may be from ours, seconds",
        ),
    ] = TOLERANCE_SECONDS
    body_bytes_max: Annotated[
        int, Field(ge=1, le=BODY_BYTES_MAX, description="The largest delivery, bytes")
    ] = BODY_BYTES_MAX
    paused: Annotated[bool, Field(description="Set up, but takes nothing")] = False


class SourceRequested(Event, SourceSpec):
    """Take deliveries of webhooks at `/v1/webhooks/<namespace>/<source>`; asked again, it replaces
    what stood."""

    type = "source.requested"
    key = "source"
    owner = ANYONE
    sender_role = ADMIN
    declarative = True
    example = {
        "source": "airline",
        "scheme": "standard",
        "secrets": ["airline"],
        "options": {
            "header": "",
            "prefix": "",
            "encoding": "hex",
            "algorithm": "sha256",
            "signed": "{body}",
            "timestamp_header": "",
            "id_from": "",
            "kind_from": "",
        },
        "tolerance_seconds": 300.0,
        "body_bytes_max": 900000,
        "paused": False,
    }

    source: Name


class SourceConfigured(Event, SourceSpec):
    """The source takes deliveries in this way from now on."""

    type = "source.configured"
    key = "source"
    owner = "gateway"
    example = {
        **SourceRequested.example,
        "request": "0190c2a4-7b1e-7c30-8f00-000000000001",
        "path": "/v1/webhooks/vision/airline",
    }

    source: Name
    request: Annotated[str, Field(description="The id of the event that asked for it")]
    path: Annotated[str, Field(description="Where deliveries go, below the gateway's address")]


class SourceRejected(Event, Refusal):
    """The source cannot be set up so; what stood before stands on."""

    type = "source.rejected"
    key = "source"
    owner = "gateway"
    example = {
        "source": "airline",
        "request": "0190c2a4-7b1e-7c30-8f00-000000000001",
        "reason": "there is no scheme 'airmail'",
        "field": "scheme",
        "fix": "one of: github, standard",
    }

    source: Name
