"""Webhooks and triggers: how the outside and the inside set things off."""

from typing import Annotated

from pydantic import Field

from penstock_schemas.event import ANYONE, Event, Value
from penstock_schemas.names import Name
from penstock_schemas.nouns.parts import Count, Json, Refusal, ShortText


class WebhookReceived(Event):
    """A delivery whose signature was verified. Its id is derived from the sender's delivery id,
    so that the same delivery sent again is the same event, for as long as the log is kept."""

    type = "webhook.received"
    key = "webhook"
    owner = "gateway"
    example = {
        "webhook": "7c0c7a5e-9a51-5b5f-9f6d-0d7d6c1a0001",
        "source": "airline",
        "delivery": "msg_2Lh9KRb0pzN4LePd3XiA4v12Axj",
        "kind": "months.arrived",
        "data": {"type": "months.arrived", "months": [4, 5, 6]},
    }

    webhook: Name
    source: Annotated[Name, Field(description="The configured sender")]
    delivery: Annotated[ShortText, Field(description="The sender's own id of the delivery")]
    kind: Annotated[
        str,
        Field(max_length=256, description="The sender's word for it, e.g. `push`, or empty"),
    ] = ""
    data: Annotated[Json, Field(description="The body as it was sent")]


class Action(Value):
    """The event that a firing appends. Strings in `data` of the form `${…}` are CEL expressions
    over `event` (its payload), `meta` (id, type, namespace, sequence, time) and `number` (the
    count of this firing); `$${` stands for a literal `${`."""

    type: Annotated[
        str,
        Field(pattern=r"^[a-z0-9-]+\.([a-z0-9-]+-)?requested$", description="The wish to append"),
    ]
    data: Annotated[dict[str, Json], Field(description="Its payload, with expressions")]


class TriggerRequested(Event):
    """When an event of type `on` appears for which `when` (CEL) holds, do `do`."""

    type = "trigger.requested"
    key = "trigger"
    owner = ANYONE
    example = {
        "trigger": "retrain",
        "on": "features.materialized",
        "when": "event.features == 'flight-lateness'",
        "do": {
            "type": "experiment.requested",
            "data": {"experiment": "flights-${string(number)}", "max_trials": 8},
        },
        "paused": False,
    }

    trigger: Name
    on: Annotated[str, Field(pattern=r"^[a-z0-9-]+\.[a-z0-9-]+$", description="An event type")]
    when: Annotated[
        str, Field(max_length=8192, description="CEL expression that gives true or false")
    ] = "true"
    do: Action
    paused: Annotated[bool, Field(description="Set up, but does not fire")] = False


class TriggerFired(Event):
    """The trigger fired for one event, once; appended in one batch with what it asked for."""

    type = "trigger.fired"
    key = "trigger"
    owner = "gateway"
    example = {
        "trigger": "retrain",
        "number": 1,
        "cause": "0190c2a4-7b1e-7c30-8f00-000000000001",
        "cause_type": "features.materialized",
        "produced_type": "experiment.requested",
        "produced_id": "flights-1",
    }

    trigger: Name
    number: Annotated[Count, Field(description="Count of this firing of the trigger")]
    cause: Annotated[str, Field(description="The id of the event that it fired for")]
    cause_type: Annotated[str, Field(description="The type of that event")]
    produced_type: Annotated[str, Field(description="The type of the event that it appended")]
    produced_id: Annotated[Name, Field(description="The aggregate of the event that it appended")]


class TriggerRejected(Event, Refusal):
    """The trigger cannot be set up, or one firing of it could not be made."""

    type = "trigger.rejected"
    key = "trigger"
    owner = "gateway"
    example = {
        "trigger": "retrain",
        "request": "0190c2a4-7b1e-7c30-8f00-000000000001",
        "reason": "when: syntax error at column 12",
        "field": "when",
        "fix": "write a CEL expression that gives true or false",
    }

    trigger: Name
