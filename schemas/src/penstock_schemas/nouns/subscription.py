"""Subscriptions: which events of a namespace are sent to whose URL, and what became of it."""

from typing import Annotated

from pydantic import Field

from penstock_schemas.event import ADMIN, ANYONE, Event, Value
from penstock_schemas.names import Name
from penstock_schemas.nouns.parts import Count, Positive, Reason, Refusal, Time

TYPES_MAX = 64
HEADERS_MAX = 16
HEADER_VALUE_LENGTH_MAX = 1024
URL_LENGTH_MAX = 2048

Pattern = Annotated[
    str,
    Field(
        pattern=r"^(\*|[a-z0-9][-a-z0-9]*)(\.(\*|[a-z0-9][-a-z0-9]*))?$",
        max_length=128,
        description="An event type or a pattern: `model.promoted`, `job.*`, `*.rejected`, `*`",
    ),
]
HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,128}$")]
HeaderValue = Annotated[
    str, Field(pattern=r"^[ -~]*$", max_length=HEADER_VALUE_LENGTH_MAX, description="Not secret")
]
Request = Annotated[str, Field(description="The id of the event that asked for it")]


class SubscriptionSpec(Value):
    """What a subscription is: where events go, which ones, and how."""

    url: Annotated[
        str,
        Field(min_length=1, max_length=URL_LENGTH_MAX, description="Where deliveries are posted"),
    ]
    types: Annotated[
        tuple[Pattern, ...],
        Field(min_length=1, max_length=TYPES_MAX, description="Which events; any may match"),
    ]
    secret: Annotated[
        Name, Field(description="The secret of the namespace that signs; each of its values does")
    ]
    ordered: Annotated[
        bool,
        Field(
            description="Send what is about one thing one after the other, each once the one "
            "before it was taken or given up"
        ),
    ] = False
    headers: Annotated[
        dict[HeaderName, HeaderValue],
        Field(max_length=HEADERS_MAX, description="Sent along; they stand in the log, readable"),
    ] = {}
    paused: Annotated[bool, Field(description="Set up, but nothing is sent; it waits")] = False


class SubscriptionRequested(Event, SubscriptionSpec):
    """Send matching events of the namespace to a URL, from now on; asked again, it replaces what
    stood, and begins anew where it had been disabled."""

    type = "subscription.requested"
    key = "subscription"
    owner = ANYONE
    sender_role = ADMIN
    declarative = True
    example = {
        "subscription": "promotions",
        "url": "https://hooks.example.org/penstock",
        "types": ["model.promoted", "rollout.*"],
        "secret": "promotions",
        "ordered": False,
        "headers": {"x-team": "vision"},
        "paused": False,
    }

    subscription: Name


class SubscriptionConfigured(Event, SubscriptionSpec):
    """The subscription sends in this way from now on."""

    type = "subscription.configured"
    key = "subscription"
    owner = "gateway"
    example = {
        **SubscriptionRequested.example,
        "request": "0190c2a4-7b1e-7c30-8f00-000000000001",
    }

    subscription: Name
    request: Request


class SubscriptionRejected(Event, Refusal):
    """What was asked of the subscription is not possible; what stood before stands on."""

    type = "subscription.rejected"
    key = "subscription"
    owner = "gateway"
    example = {
        "subscription": "promotions",
        "request": "0190c2a4-7b1e-7c30-8f00-000000000001",
        "reason": "there is no secret 'promotions'",
        "field": "secret",
        "fix": "penstock secret set promotions",
    }

    subscription: Name


class SubscriptionReplayRequested(Event):
    """Send once more what matches in a stretch of the log, under the same delivery ids."""

    type = "subscription.replay-requested"
    key = "subscription"
    owner = ANYONE
    sender_role = ADMIN
    example = {
        "subscription": "promotions",
        "after": 0,
        "since": "2026-11-24T10:00:00Z",
        "until": None,
    }

    subscription: Name
    after: Annotated[Count, Field(description="Sequence; only events above it")] = 0
    since: Annotated[Time | None, Field(description="Only events stored at or after it")] = None
    until: Annotated[
        Positive | None, Field(description="Sequence; only events up to it; else up to now")
    ] = None


class SubscriptionReplayed(Event):
    """The stretch waits to be sent again; how it goes is in the log of deliveries."""

    type = "subscription.replayed"
    key = "subscription"
    owner = "gateway"
    example = {
        "subscription": "promotions",
        "request": "0190c2a4-7b1e-7c30-8f00-000000000002",
        "after": 0,
        "since": "2026-11-24T10:00:00Z",
        "until": 4711,
    }

    subscription: Name
    request: Request
    after: Annotated[Count, Field(description="Sequence; only events above it")]
    since: Annotated[Time | None, Field(description="Only events stored at or after it")] = None
    until: Annotated[Positive, Field(description="Sequence; only events up to it")]


class SubscriptionUndelivered(Event):
    """One event was given up after days of tries, while others went through; a replay sends it
    again."""

    type = "subscription.undelivered"
    key = "subscription"
    owner = "gateway"
    example = {
        "subscription": "promotions",
        "event": "0190c2a4-7b1e-7c30-8f00-000000000003",
        "event_type": "model.promoted",
        "sequence": 4700,
        "attempts": 11,
        "reason": "status 500",
    }

    subscription: Name
    event: Annotated[str, Field(description="The id of the event that was given up")]
    event_type: Annotated[str, Field(description="Its type")]
    sequence: Annotated[Positive, Field(description="Its sequence in the log")]
    attempts: Annotated[Positive, Field(description="How often it was tried")]
    reason: Reason


class SubscriptionDisabled(Event):
    """Nothing is sent any more: the receiver is gone, or failed for days. Asking again enables it
    from then on; a replay after `after` brings what was missed."""

    type = "subscription.disabled"
    key = "subscription"
    owner = "gateway"
    example = {
        "subscription": "promotions",
        "reason": "no delivery was taken since 2026-11-21T10:00:00Z; the last answer: status 503",
        "after": 4699,
    }

    subscription: Name
    reason: Reason
    after: Annotated[Count, Field(description="Everything up to this sequence was dealt with")]


class SubscriptionRemoveRequested(Event):
    """Send nothing any more and forget what waits."""

    type = "subscription.remove-requested"
    key = "subscription"
    owner = ANYONE
    sender_role = ADMIN
    withdraws = True
    example = {"subscription": "promotions", "reason": "asked for"}

    subscription: Name
    reason: Reason = "asked for"


class SubscriptionRemoved(Event):
    """The subscription is no more."""

    type = "subscription.removed"
    key = "subscription"
    owner = "gateway"
    example = {
        "subscription": "promotions",
        "request": "0190c2a4-7b1e-7c30-8f00-000000000004",
        "reason": "asked for",
    }

    subscription: Name
    request: Request
    reason: Reason
